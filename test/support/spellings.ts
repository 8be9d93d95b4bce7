/** The forms in which a secret may turn up: as it is, and in the usual encodings. */
export function spellings (value: string): string[] {
  const bytes = Buffer.from(value)
  // Base64 of the value inside a longer text: the characters at the seams depend on its neighbours.
  const shifted = [0, 1, 2].map((offset) => Buffer.concat([Buffer.alloc(offset), bytes]).toString('base64').slice(offset === 0 ? 0 : 4, -4))
  return [value, ...shifted, bytes.toString('base64url').slice(0, -2), bytes.toString('hex'), bytes.toString('hex').toUpperCase(), encodeURIComponent(value), [...value].reverse().join('')]
}

/** Those of the secrets that stand in it in any form. */
export function findSecrets (secrets: readonly string[], haystack: Buffer | string): string[] {
  const bytes = Buffer.isBuffer(haystack) ? haystack : Buffer.from(haystack)
  return secrets.filter((secret) => spellings(secret).some((form) => bytes.includes(form)))
}
