"use strict";

const element = (id) => document.getElementById(id);
const show = (id, is) => { element(id).hidden = !is; };

/** Where to sign in and out; the API says it. */
let login = "/login";
let logout = "/logout";
let wasSignedIn = false;

class SignedOut extends Error {}

/** Asks the API. A 401 is a problem (RFC 9457) whose member `login` is the path of the login. */
async function api(path, options) {
  const response = await fetch(path, options);
  if (response.status === 401) {
    login = (await response.json()).login;
    showSignedOut();
    throw new SignedOut();
  }
  if (!response.ok) {
    const wait = response.headers.get("retry-after");
    throw new Error(wait ? `Not now: try again in ${wait} s.` : `That did not work (${response.status}).`);
  }
  return response.json();
}

/** Does something that asks the API, and says what went wrong. */
async function attempt(work) {
  show("trouble", false);
  try {
    await work();
  } catch (error) {
    if (error instanceof SignedOut) return;
    element("trouble").textContent = error instanceof TypeError ? "The server cannot be reached." : error.message;
    show("trouble", true);
  }
}

async function load() {
  const [me, notes] = await Promise.all([api("/api/me"), api("/api/notes")]);
  logout = me.logout;
  wasSignedIn = true;
  element("user-id").textContent = me.user_id;
  element("role").textContent = me.role;
  element("until").textContent = new Date(me.session_expires_at).toLocaleTimeString([], { timeStyle: "short" });
  showNotes(notes);
  // What was being written when the session ended.
  element("note").value ||= sessionStorage.getItem("draft") ?? "";
  sessionStorage.removeItem("draft");
  show("signed-out", false);
  show("signed-in", true);
}

function showNotes(notes) {
  element("notes").replaceChildren(...notes.map((note) => {
    const item = document.createElement("li");
    item.textContent = note;
    return item;
  }));
  show("no-notes", notes.length === 0);
}

function showSignedOut() {
  if (wasSignedIn) {
    element("invitation").textContent = "You are signed out.";
    element("explanation").textContent = "Sign in to go on where you were.";
  }
  element("notes").replaceChildren();
  show("signed-in", false);
  show("signed-out", true);
}

/** The login is a navigation of the whole page, never a fetch; it comes back to this address. */
element("sign-in").onclick = () => {
  sessionStorage.setItem("draft", element("note").value);
  const url = new URL(login, location.origin);
  url.searchParams.set("return_to", location.pathname + location.search);
  location.href = url;
};

element("sign-out").onclick = () => attempt(async () => {
  element("note").value = "";
  const response = await fetch(logout, { method: "POST" });
  if (!response.ok) throw new Error("You are still signed in: try again.");
  await load();
});

element("new-note").onsubmit = (event) => {
  event.preventDefault();
  attempt(async () => {
    const body = JSON.stringify(element("note").value);
    showNotes(await api("/api/notes", { method: "POST", headers: { "content-type": "application/json" }, body }));
    element("note").value = "";
  });
};

// Whoever comes back to the page sees what is true now, from the browser's memory of pages too. To ask
// by the clock instead would count as activity and keep the session alive.
addEventListener("pageshow", () => attempt(load));
document.addEventListener("visibilitychange", () => { if (!document.hidden) attempt(load); });
