// Keeps the page up to date: asks for it again, takes over what has changed, and rests while nobody looks.
const PAUSE = 2000; // ms

const main = document.getElementById("main");
const told = document.getElementById("live");
let tag = null;

async function look() {
  if (document.hidden || document.activeElement?.closest("form")) return; // nobody looks, or somebody chooses
  try {
    const answer = await fetch(location.href, { headers: tag ? { "If-None-Match": tag } : {}, cache: "no-store" });
    if (answer.status === 304) return;
    if (!answer.ok) throw new Error(`the page answers ${answer.status}`);
    tag = answer.headers.get("ETag");
    const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
    takeOver(fresh.getElementById("main"));
    told.textContent = fresh.getElementById("live").textContent;
  } catch (error) {
    told.textContent = `not up to date: ${error.message}`;
  }
}

function takeOver(fresh) {
  const open = [...main.querySelectorAll("details")].map((each) => each.open);
  const focused = document.activeElement?.id || document.activeElement?.getAttribute?.("href");
  main.replaceChildren(...fresh.childNodes);
  main.querySelectorAll("details").forEach((each, at) => { each.open = open[at] ?? false; });
  if (focused) [...main.querySelectorAll("a")].find((each) => each.getAttribute("href") === focused)?.focus();
}

setInterval(look, PAUSE);
document.addEventListener("visibilitychange", look);
