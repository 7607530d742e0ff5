// Why a file cannot be attached.

/** The message follows the file's name: `is empty`. */
export class Unreadable extends Error {}
