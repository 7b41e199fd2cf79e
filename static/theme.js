/* Sets the theme, and whether the introduction makes way for a result, before the first paint, so a dark page never flashes white. A classic script on purpose. */
try {
  const theme = localStorage.getItem("understory.theme");
  if (theme === "light" || theme === "dark") document.documentElement.dataset.theme = theme;
} catch {
  /* no storage: the system's theme */
}
if (/[#&](text|premise|hypothesis|page)=/.test(location.hash)) document.documentElement.dataset.asked = "";
