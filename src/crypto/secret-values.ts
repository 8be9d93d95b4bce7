/** Where the plaintexts are, by their `Secret`. Only `secret.ts` writes here and only `reveal.ts` reads. */
export const values = new WeakMap<object, string>()
