//! The pages of the folder `docs`: how the crate works, and what it promises beyond single calls.
//!
//! They are part of this documentation only, and of no program.

/// A page by the name of its file. In the files a link to another page has the file's name, and
/// here it leads to the page's module: the first definition of a link counts. The drawing is found
/// from `target/doc` in a checkout.
macro_rules! pages {
    ($($name:ident)*) => {$(
        #[doc = "[architecture.md]: crate::docs::architecture"]
        #[doc = "[cancellation.md]: crate::docs::cancellation"]
        #[doc = "[cores.md]: crate::docs::cores"]
        #[doc = "[deployment.md]: crate::docs::deployment"]
        #[doc = "[ecosystem.md]: crate::docs::ecosystem"]
        #[doc = "[fast_paths.md]: crate::docs::fast_paths"]
        #[doc = "[files.md]: crate::docs::files"]
        #[doc = "[from_tokio.md]: crate::docs::from_tokio"]
        #[doc = "[from_tornado.md]: crate::docs::from_tornado"]
        #[doc = "[guide.md]: crate::docs::guide"]
        #[doc = "[io.md]: crate::docs::io"]
        #[doc = "[kernels.md]: crate::docs::kernels"]
        #[doc = "[life_of_a_request.md]: crate::docs::life_of_a_request"]
        #[doc = "[life_of_an_op.md]: crate::docs::life_of_an_op"]
        #[doc = "[limits.md]: crate::docs::limits"]
        #[doc = "[modules.svg]: ../../../../../docs/modules.svg"]
        #[doc = "[observability.md]: crate::docs::observability"]
        #[doc = "[operating.md]: crate::docs::operating"]
        #[doc = "[real_time.md]: crate::docs::real_time"]
        #[doc = "[services.md]: crate::docs::services"]
        #[doc = "[tls.md]: crate::docs::tls"]
        #[doc = ""]
        #[doc = include_str!(concat!("../docs/", stringify!($name), ".md"))]
        pub mod $name {}
    )*};
}

pages! {
    architecture
    cancellation
    cores
    deployment
    ecosystem
    fast_paths
    files
    from_tokio
    from_tornado
    guide
    io
    kernels
    life_of_a_request
    life_of_an_op
    limits
    observability
    operating
    real_time
    services
    tls
}
