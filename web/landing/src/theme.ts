/** Dark and light: the system's wish, until the person at the page says otherwise. */
type Theme = "dark" | "light";

const KEY = "tandem-theme";

export function installTheme(button: HTMLButtonElement): void {
  const system = matchMedia("(prefers-color-scheme: dark)");
  const current = (): Theme => stored() ?? (system.matches ? "dark" : "light");
  const show = (): void => {
    const theme = current();
    document.documentElement.dataset["theme"] = theme;
    button.setAttribute("aria-label", theme === "dark" ? "Switch to the light theme" : "Switch to the dark theme");
  };
  button.addEventListener("click", () => {
    localStorage.setItem(KEY, current() === "dark" ? "light" : "dark");
    show();
  });
  system.addEventListener("change", show);
  show();
}

function stored(): Theme | undefined {
  const value = localStorage.getItem(KEY);
  return value === "dark" || value === "light" ? value : undefined;
}
