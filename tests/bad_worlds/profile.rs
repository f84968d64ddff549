//! Makes a filter of a seccomp profile in the JSON form of containers.

use std::fs;

use serde_json::Value;

use crate::support::seccomp::{Bits, Filter};

/// A profile that allows all calls but those that it names.
pub(crate) struct Profile(Value);

impl Profile {
    pub(crate) fn read(path: &str) -> Self {
        let text = fs::read_to_string(path).unwrap_or_else(|error| panic!("{path}: {error}"));
        let profile: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(profile["defaultAction"], "SCMP_ACT_ALLOW");
        Self(profile)
    }

    /// Its rules, each a call's name, the bits that it looks at, and an errno.
    pub(crate) fn rules(&self) -> Vec<(&str, Option<Bits>, i32)> {
        let mut rules = Vec::new();
        for rule in array(&self.0["syscalls"]) {
            assert_eq!(rule["action"], "SCMP_ACT_ERRNO");
            let errno = number(&rule["errnoRet"]) as i32;
            let bits = rule
                .get("args")
                .map(|arguments| match &array(arguments)[..] {
                    [one] => bits(one),
                    more => panic!("expected one argument, found {more:?}"),
                });
            let names = array(&rule["names"]).iter();
            rules.extend(names.map(|name| (name.as_str().unwrap(), bits, errno)));
        }
        rules
    }

    pub(crate) fn filter(&self) -> Filter {
        let mut filter = Filter::new();
        for (name, bits, errno) in self.rules() {
            // One of another processor's has no number here.
            if let Some(call) = call(name) {
                filter.refuse(call, bits, errno);
            }
        }
        filter.finished()
    }
}

fn bits(argument: &Value) -> Bits {
    assert_eq!(argument["op"], "SCMP_CMP_MASKED_EQ");
    Bits {
        index: number(&argument["index"]),
        mask: number(&argument["value"]),
        value: number(&argument["valueTwo"]),
    }
}

fn array(value: &Value) -> &Vec<Value> {
    value.as_array().expect("a list")
}

fn number(value: &Value) -> u32 {
    let number = value.as_u64().expect("a number");
    u32::try_from(number).expect("a number of 32 bits")
}

/// The number of a call, if this processor has it.
pub(crate) fn call(name: &str) -> Option<i64> {
    if let Some((_, number)) = CALLS.iter().find(|(known, _)| *known == name) {
        return Some(*number);
    }
    assert!(
        ["ioperm", "iopl"].contains(&name),
        "{name} has no number here"
    );
    #[cfg(target_arch = "x86_64")]
    return Some(if name == "iopl" {
        libc::SYS_iopl
    } else {
        libc::SYS_ioperm
    });
    #[cfg(not(target_arch = "x86_64"))]
    None
}

/// The numbers of the calls that the profile names.
const CALLS: [(&str, i64); 48] = [
    ("acct", libc::SYS_acct),
    ("add_key", libc::SYS_add_key),
    ("bpf", libc::SYS_bpf),
    ("clock_settime", libc::SYS_clock_settime),
    ("clone", libc::SYS_clone),
    ("clone3", libc::SYS_clone3),
    ("delete_module", libc::SYS_delete_module),
    ("fanotify_init", libc::SYS_fanotify_init),
    ("finit_module", libc::SYS_finit_module),
    ("fsconfig", libc::SYS_fsconfig),
    ("fsmount", libc::SYS_fsmount),
    ("fsopen", libc::SYS_fsopen),
    ("fspick", libc::SYS_fspick),
    ("get_mempolicy", libc::SYS_get_mempolicy),
    ("init_module", libc::SYS_init_module),
    ("kcmp", libc::SYS_kcmp),
    ("kexec_file_load", libc::SYS_kexec_file_load),
    ("kexec_load", libc::SYS_kexec_load),
    ("keyctl", libc::SYS_keyctl),
    ("lookup_dcookie", libc::SYS_lookup_dcookie),
    ("mbind", libc::SYS_mbind),
    ("migrate_pages", libc::SYS_migrate_pages),
    ("mount", libc::SYS_mount),
    ("mount_setattr", libc::SYS_mount_setattr),
    ("move_mount", libc::SYS_move_mount),
    ("move_pages", libc::SYS_move_pages),
    ("open_by_handle_at", libc::SYS_open_by_handle_at),
    ("open_tree", libc::SYS_open_tree),
    ("perf_event_open", libc::SYS_perf_event_open),
    ("pidfd_getfd", libc::SYS_pidfd_getfd),
    ("pivot_root", libc::SYS_pivot_root),
    ("quotactl", libc::SYS_quotactl),
    ("quotactl_fd", libc::SYS_quotactl_fd),
    ("reboot", libc::SYS_reboot),
    ("request_key", libc::SYS_request_key),
    ("set_mempolicy", libc::SYS_set_mempolicy),
    ("set_mempolicy_home_node", libc::SYS_set_mempolicy_home_node),
    ("setdomainname", libc::SYS_setdomainname),
    ("sethostname", libc::SYS_sethostname),
    ("setns", libc::SYS_setns),
    ("settimeofday", libc::SYS_settimeofday),
    ("swapoff", libc::SYS_swapoff),
    ("swapon", libc::SYS_swapon),
    ("syslog", libc::SYS_syslog),
    ("umount2", libc::SYS_umount2),
    ("unshare", libc::SYS_unshare),
    ("userfaultfd", libc::SYS_userfaultfd),
    ("vhangup", libc::SYS_vhangup),
];
