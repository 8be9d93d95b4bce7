export const wrapSecret = 1
