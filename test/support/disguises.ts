const bytesOf = (text: string, spell: (hex: string) => string) => Buffer.from(text).toString('hex').replace(/../g, spell)

/** Ways to write a credential that programs have. */
export function disguise (value: string): readonly [what: string, written: string][] {
  return [
    ['hexadecimal', Buffer.from(value).toString('hex')],
    ['hexadecimal in capitals', Buffer.from(value).toString('hex').toUpperCase()],
    ['base64 of the value as sent', `Basic ${Buffer.from(`Bearer ${value}`).toString('base64')}`],
    ['base64 of more, without padding', Buffer.from(`me:${value}!`).toString('base64').replace(/=+$/, '')],
    ['base64url', Buffer.from(value).toString('base64url')],
    ['needless percent signs, in lower case', bytesOf(value, (hex) => `%${hex}`)],
    ['percent signs of percent signs', encodeURIComponent(encodeURIComponent(value))],
    ['a form', new URLSearchParams({ p: value }).toString()],
    ['needless JSON escapes', bytesOf(value, (hex) => `\\u00${hex}`)],
    ['JSON with escaped slashes, within JSON', JSON.stringify(JSON.stringify({ p: value }).replaceAll('/', '\\/'))],
    ['JavaScript, in braces', value.replaceAll('"', '\\u{22}').replaceAll('/', '\\u{002F}')],
    ['needless braces', bytesOf(value, (hex) => `\\u{${hex}}`)],
    ['octal numbers', value.replaceAll('"', '\\042').replaceAll('/', '\\057')],
    ['needless octal numbers, within JSON', JSON.stringify(bytesOf(value, (hex) => `\\${parseInt(hex, 16).toString(8).padStart(3, '0')}`))],
    ['quoted-printable', value.replaceAll('"', '=22').replaceAll('/', '=2f')],
    ['quoted-printable of all of it, with lines that are broken', bytesOf(value, (hex) => `=${hex.toUpperCase()}`).replaceAll('=22', '=\r\n=22')],
    ['lines of mail, broken within base64', Buffer.from(`me:${value}!`).toString('base64').replace(/.{9}/g, '$&=\n')],
    ['HTML', value.replaceAll('"', '&quot;').replaceAll('/', '&#x2F;')],
  ]
}
