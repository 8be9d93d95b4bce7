import type { FieldError } from '../errors.ts'
import type { Environment } from '../ids.ts'
import { isLinked, issuedFields } from './linking.ts'
import type { AuthScheme, Field } from './manifest.ts'

/** What a person entered, in plain text: only routes where credentials come in hold one of these. */
export interface Entered {
  readonly credentials: Readonly<Record<string, string>>
  readonly config: Readonly<Record<string, string>>
}

export interface AcceptedFields {
  readonly secrets: Readonly<Record<string, string>>
  /** With what the secrets themselves say of it (a region in a key's prefix). */
  readonly config: Readonly<Record<string, string>>
  /** What of each secret may be shown. */
  readonly previews: Readonly<Record<string, string>>
}

export type FieldsVerdict = { readonly accepted: AcceptedFields } | { readonly errors: readonly FieldError[] }

const HIDDEN = '••••'
const SHOWN_AT_END = 4
/** Fewer characters than this beyond the prefix, and the last four would say too much. */
const MASKED_MIN = 16

/** Checks what was entered against a scheme's fields. The errors name fields, never values. */
export function judgeFields (scheme: AuthScheme, environment: Environment, entered: Entered): FieldsVerdict {
  const errors: FieldError[] = judgeUnknown(scheme, entered)
  const secrets: Record<string, string> = {}
  const config: Record<string, string> = {}
  const previews: Record<string, string> = {}
  for (const field of scheme.fields) {
    const value = read(field.secret ? entered.credentials : entered.config, field.name) ?? field.default
    if (value === undefined) continue
    const wrong = judgeValue(field, environment, value)
    if (wrong !== undefined) errors.push({ pointer: pointerOf(field), message: wrong })
    if (field.secret) {
      secrets[field.name] = value
      previews[field.name] = maskSecret(field, value)
    } else config[field.name] = value
  }
  errors.push(...addImpliedConfig(scheme, secrets, config), ...judgeMissing(scheme, { credentials: secrets, config }))
  return errors.length > 0 ? { errors } : { accepted: { secrets, config, previews } }
}

/** Checks changed config alone, where the credential stays as it is. */
export function judgeConfig (scheme: AuthScheme, environment: Environment, config: Readonly<Record<string, string>>): readonly FieldError[] {
  const known = scheme.fields.filter((field) => !field.secret && config[field.name] !== undefined)
  const wrong = known.map((field) => ({ pointer: pointerOf(field), message: judgeValue(field, environment, (config[field.name] ?? '').trim()) }))
  return [...judgeUnknown(scheme, { credentials: {}, config }), ...wrong.flatMap(({ pointer, message }) => message === undefined ? [] : [{ pointer, message }])]
}

/** Known prefix and last four characters, where enough stays hidden. */
function maskSecret (field: Field, value: string): string {
  return previewText(value, findPrefix(field, value)?.starts)
}

/** What may be shown of a secret text whose prefix is nothing secret. */
export function previewText (value: string, prefix = ''): string {
  return value.length - prefix.length >= MASKED_MIN ? `${prefix}…${value.slice(-SHOWN_AT_END)}` : HIDDEN
}

/** What may be shown of a scheme's secret field. */
export function previewSecret (scheme: AuthScheme, name: string, value: string): string {
  const field = scheme.fields.find((candidate) => candidate.name === name)
  return field === undefined ? HIDDEN : maskSecret(field, value)
}

function pointerOf (field: Field): string {
  return `/${field.secret ? 'credentials' : 'config'}/${field.name}`
}

/** Pasted text comes with spaces and line breaks around it. */
function read (values: Readonly<Record<string, string>>, name: string): string | undefined {
  const value = Object.hasOwn(values, name) ? values[name]?.trim() : undefined
  return value === '' ? undefined : value
}

function judgeUnknown (scheme: AuthScheme, entered: Entered): FieldError[] {
  const issued = issuedFields(scheme)
  const judge = (part: keyof Entered, secret: boolean): FieldError[] => Object.keys(entered[part]).flatMap((name) => {
    // What the provider issues is nobody's to enter, and is no field to whoever enters.
    const fields = scheme.fields.filter((candidate) => isLinked(scheme) || !issued.has(candidate.name))
    const field = fields.find((candidate) => candidate.name === name)
    if (field?.secret === secret) return []
    const names = fields.filter((candidate) => candidate.secret === secret).map((candidate) => candidate.name)
    const message = field === undefined ? `is not a field of ${scheme.id}; known: ${names.join(', ') || 'none'}` : `belongs in ${field.secret ? 'credentials' : 'config'}`
    return [{ pointer: `/${part}/${name.slice(0, 100)}`, message }]
  })
  return [...judge('credentials', true), ...judge('config', false)]
}

function judgeMissing (scheme: AuthScheme, entered: Entered): FieldError[] {
  return scheme.fields
    .filter((field) => field.required !== false && read(field.secret ? entered.credentials : entered.config, field.name) === undefined)
    .map((field) => ({ pointer: pointerOf(field), message: `is required: ${field.label}${scheme.find === undefined ? '' : ` (${scheme.find})`}` }))
}

/** What is wrong with one value, in words for the person who entered it. */
function judgeValue (field: Field, environment: Environment, value: string): string | undefined {
  const refused = field.refuse?.find((entry) => value.startsWith(entry.starts))
  if (refused !== undefined) return refused.because
  // Printable ASCII goes into a header as it is; anything else would break the request later on.
  if (!(field.spaces === true ? /^[\x20-\x7e]+$/ : /^[\x21-\x7e]+$/).test(value)) return 'holds a space, a line break or a character that does not belong there: copy it again'
  if (field.enum !== undefined && !field.enum.includes(value)) return `must be one of: ${field.enum.join(', ')}`
  if (field.prefixes !== undefined) {
    const prefix = findPrefix(field, value)
    if (prefix === undefined) return `must start with ${listPrefixes(field, environment)}`
    if (prefix.environment !== undefined && prefix.environment !== environment) {
      return `is a ${prefix.environment} key (${prefix.starts}…) and this is a ${environment} connection: it takes a key that starts with ${listPrefixes(field, environment)}`
    }
  }
  if (field.pattern !== undefined && !new RegExp(field.pattern).test(value)) return `does not look right: ${field.expects ?? 'check that it was copied in full'}`
  return undefined
}

function findPrefix (field: Field, value: string) {
  return field.prefixes?.filter((prefix) => value.startsWith(prefix.starts)).sort((a, b) => b.starts.length - a.starts.length)[0]
}

function listPrefixes (field: Field, environment: Environment): string {
  return (field.prefixes ?? []).filter((prefix) => prefix.environment === undefined || prefix.environment === environment).map((prefix) => prefix.starts).join(' or ')
}

/** A key that says its region fills the region in; one that contradicts the region entered is an error. */
function addImpliedConfig (scheme: AuthScheme, secrets: Readonly<Record<string, string>>, config: Record<string, string>): FieldError[] {
  return scheme.fields.flatMap((field) => {
    const prefix = findPrefix(field, secrets[field.name] ?? '')
    return Object.entries(prefix?.config ?? {}).flatMap(([name, value]) => {
      config[name] ??= value
      return config[name] === value ? [] : [{ pointer: `/config/${name}`, message: `must be ${value}: the ${field.label} belongs there (${prefix?.starts}…)` }]
    })
  })
}
