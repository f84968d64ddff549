// Adds notes and lists them, by the API of the service that this page comes from.
const element = (id) => document.getElementById(id);

async function ask(method, body) {
  const headers = { Authorization: `Bearer ${element("token").value}` };
  if (body) headers["Content-Type"] = "application/json";
  const answer = await fetch("/api/notes", { method, headers, body });
  const value = await answer.json();
  if (!answer.ok) throw new Error(value.detail || value.title);
  return value;
}

element("enter").addEventListener("submit", async (event) => {
  event.preventDefault();
  try {
    const text = element("text").value;
    if (text) await ask("POST", JSON.stringify({ text }));
    const notes = await ask("GET");
    element("notes").replaceChildren(...Object.values(notes).map((note) => {
      const item = document.createElement("li");
      item.textContent = note.text;
      return item;
    }));
    element("text").value = "";
    element("state").textContent = "";
  } catch (error) {
    element("state").textContent = error.message;
  }
});
