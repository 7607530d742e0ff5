// Key events of input methods (IME), as for Japanese and Chinese.

/** WebKit reports the Enter that confirms a word with this key code, after the composition has ended. */
const PROCESSED_BY_INPUT_METHOD = 229;

/** Whether the key belongs to the input method and not to the page. */
export const isComposing = (event: KeyboardEvent): boolean =>
  event.isComposing || event.keyCode === PROCESSED_BY_INPUT_METHOD;
