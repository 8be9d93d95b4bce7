/** A value as providers echo it. */
export interface Spelling {
  /** Whatever form of the value a text holds, it holds one of these. */
  readonly probes: readonly string[]
  /** Of those, the base64 of the value within anything longer: it begins at any of three bits, and what shares a character with a neighbour is left out. */
  readonly pieces: readonly string[]
  /** Longer ones, which a probe is a part of. */
  readonly whole: readonly string[]
}

export const NUMBER = /^-?\d+(\.\d+)?$/

/** Each form once, the value first: as it is, escaped as JSON and URLs do it, in base64, base64url and hex; a number as others write it. */
export function spell (value: string): Spelling {
  const probes = [value]
  const add = (form: string, twin: string): void => { if (form !== twin) probes.push(form) }
  const json = JSON.stringify(value).slice(1, -1)
  const percent = encodeURIComponent(value)
  add(json, value)
  add(percent, value)
  if (percent !== value) add(percent.replace(/%../g, (byte) => byte.toLowerCase()), percent)
  if (NUMBER.test(value)) probes.push(...spellExponent(Number(value)))
  const bytes = shift(value)
  const hex = bytes.toString('hex', 2)
  probes.push(hex)
  add(hex.toUpperCase(), hex)
  const pieces = cut(bytes)
  if (json !== value) pieces.push(...cut(shift(json)))
  probes.push(...pieces)
  const base64 = bytes.toString('base64', 2)
  const bare = base64.replace(/=+$/, '')
  return { probes, pieces, whole: [base64, bare, toUrl(bare)] }
}

/** The value's bytes after two others. */
function shift (value: string): Buffer {
  const bytes = Buffer.allocUnsafe(Buffer.byteLength(value) + 2)
  bytes.write(value, 2)
  return bytes
}

function cut (bytes: Buffer): string[] {
  const pieces: string[] = []
  for (let before = 0; before < 3; before++) {
    const piece = bytes.toString('base64', 2 - before).slice(before === 0 ? 0 : before + 1, Math.floor((bytes.length - 2 + before) * 8 / 6))
    pieces.push(piece)
    if (/[+/]/.test(piece)) pieces.push(toUrl(piece))
  }
  return pieces
}

function toUrl (base64: string): string {
  return base64.replaceAll('+', '-').replaceAll('/', '_')
}

function spellExponent (number: number): string[] {
  if (!Number.isFinite(number)) return []
  const exponent = number.toExponential()
  return [exponent, exponent.replace('e+', 'e'), exponent.replace('e', 'E'), exponent.replace('e+', 'E')].filter((form, index, all) => all.indexOf(form) === index)
}
