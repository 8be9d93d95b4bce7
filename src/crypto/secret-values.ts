/** What a `Secret` holds. Only `secret.ts` says how it is read and only `reveal.ts` asks. */
export const values: { read: (secret: object) => string | undefined } = { read: () => undefined }
