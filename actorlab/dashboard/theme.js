// Light or dark: as the system has it, unless somebody chose one in this browser. It runs before anything is painted.
const actorlabTheme = {
  system: window.matchMedia("(prefers-color-scheme: dark)"),
  chosen() {
    try { return localStorage.getItem("actorlab-theme"); } catch { return null; }
  },
  dark() {
    const chosen = this.chosen();
    return chosen ? chosen === "dark" : this.system.matches;
  },
  apply() {
    document.documentElement.classList.toggle("dark", this.dark());
    if (window.Quasar) Quasar.Dark.set(this.dark());
  },
  next() {
    const next = this.dark() ? "light" : "dark";
    try {
      // what the system has anyway needn't be chosen: then it is followed again
      if ((next === "dark") === this.system.matches) localStorage.removeItem("actorlab-theme");
      else localStorage.setItem("actorlab-theme", next);
    } catch { /* it isn't kept, then */ }
    this.apply();
  },
};
actorlabTheme.apply();
actorlabTheme.system.addEventListener("change", () => actorlabTheme.apply());
document.addEventListener("DOMContentLoaded", () => actorlabTheme.apply());
