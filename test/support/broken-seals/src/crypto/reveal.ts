export const reveal = 1
