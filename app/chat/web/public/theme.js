// Applies the user's theme before the first paint; a module would run after it.
try {
  const theme = localStorage.getItem("chat.theme");
  if (theme === "light" || theme === "dark") document.documentElement.dataset.theme = theme;
} catch {
  // Storage may be forbidden: the system's theme applies.
}
