/** A page of documentation: only the theme moves. */
import { installTheme } from "./theme";

const button = document.querySelector<HTMLButtonElement>("#theme");
if (button) installTheme(button);
