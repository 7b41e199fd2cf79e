/** The theme button: as the system, light, dark, in turn. */

const ORDER = ["auto", "light", "dark"];
const TITLES = { auto: "Auto", light: "Light", dark: "Dark" };

export function attachTheme(button, name) {
  const root = document.documentElement;
  const show = () => {
    const theme = root.dataset.theme ?? "auto";
    name.textContent = TITLES[theme];
    button.setAttribute("aria-label", `Theme: ${theme === "auto" ? "as the system" : theme}`);
  };
  button.addEventListener("click", () => {
    const next = ORDER[(ORDER.indexOf(root.dataset.theme ?? "auto") + 1) % ORDER.length];
    if (next === "auto") delete root.dataset.theme;
    else root.dataset.theme = next;
    try {
      localStorage.setItem("understory.theme", next);
    } catch {
      /* the choice holds until the page is left */
    }
    show();
  });
  show();
}
