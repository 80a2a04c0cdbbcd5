"use strict";
// A one-time word in the link's fragment never reached a server; put it into the form and out of the address bar.
(() => {
  const word = document.getElementById("word"), once = document.getElementById("once");
  const given = decodeURIComponent(location.hash.slice(1));
  if (given.startsWith("llo_")) {
    history.replaceState(null, "", location.pathname);
    word.value = given;
    document.getElementById("form").requestSubmit();
  }
  if (word.value) once.open = true;
})();
