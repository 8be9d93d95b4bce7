export const values = 1
