// Before anything is drawn, so that a dark page does not flash white.
{
  const theme = localStorage.getItem("nanochat.theme");
  if (theme === "light" || theme === "dark") document.documentElement.dataset.theme = theme;
}
