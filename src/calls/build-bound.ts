import type { Binding, BodyChoice, IntegrationAction, Parameter } from '../catalog/index.ts'
import { pathParameters } from '../catalog/index.ts'
import { VaultError, type FieldError } from '../errors.ts'
import { joinErrors } from './arrange-input.ts'
import type { BuildOptions, BuiltRequest } from './built-request.ts'
import { checkHeaders, hasDotSegment, invalid, isBase64, joinUrl } from './check-request.ts'
import type { RequestBody } from './encode.ts'
import { writeCookie, writeHeader, writePath, writeQuery, type Writing } from './serialise.ts'
import { sortBoundInput } from './sort-bound-input.ts'

interface BoundAction {
  readonly action: IntegrationAction
  readonly binding: Binding
}

type Input = Readonly<Record<string, unknown>>
type Place = Parameter['in']

/**
 * The request of an action that was imported from an OpenAPI document. Its input names the place,
 * `{path, query, header, cookie, body, content_type}`, or is flat. Throws `input_invalid`, with a
 * pointer to each place that does not fit, and `action_not_allowed` where the connection has not
 * the credential that the action asks for.
 */
export function buildBoundRequest ({ action, binding }: BoundAction, given: Input, options: BuildOptions): BuiltRequest {
  const security = chooseSecurity(binding, options.satisfied ?? [])
  const { sorted: input, misplaced } = sortBoundInput(binding, given)
  const errors = joinErrors(misplaced, action.check(input))
  if (errors.length > 0) throw invalid(errors)
  const { definition } = action
  const values = (place: Place): [Parameter, unknown][] => {
    const part = (input[place] ?? {}) as Input
    return binding.parameters.filter((parameter) => parameter.in === place && Object.hasOwn(part, parameter.name) && part[parameter.name] !== undefined)
      .map((parameter) => [parameter, part[parameter.name]])
  }
  const query = [
    ...Object.entries(binding.query ?? {}).flatMap(([name, value]) => writeQuery(name, value, PLAIN)),
    ...values('query').flatMap(([parameter, value]) => writeQuery(parameter.name, value, parameter as Writing)),
  ].join('&')
  const { conventions } = options.manifest
  const cookies = values('cookie').map(([parameter, value]) => writeCookie(parameter.name, value, parameter as Writing))
  const headers = Object.fromEntries(values('header').map(([parameter, value]) => [parameter.name.toLowerCase(), writeHeader(value, parameter as Writing)]))
  return {
    method: definition.method,
    url: joinUrl(definition.server ?? options.baseUrl, fillPath(definition.path, values('path')), query),
    headers: { ...conventions.headers, ...definition.headers, ...checkHeaders(headers, options.injected, '/input/header'), ...cookies.length > 0 && { cookie: cookies.join('; ') } },
    body: bodyOf(binding, input, definition.method),
    bodyFields: {},
    security,
  }
}

const PLAIN: Writing = { style: 'form', explode: true }

/** The first alternative that the connection satisfies. */
function chooseSecurity ({ security }: Binding, satisfied: readonly string[]): readonly string[] {
  const chosen = security.find((needed) => needed.every((name) => satisfied.includes(name)))
  if (chosen === undefined) {
    throw new VaultError('action_not_allowed', { detail: `This action is authorised by ${security.map((needed) => needed.join(' and ')).join(', or by ')}; the connection was made for ${satisfied.join(', ') || 'calls without a credential'}.` })
  }
  return chosen
}

function fillPath (template: string, values: readonly [Parameter, unknown][]): string {
  let path = template
  for (const { name, written } of pathParameters(template)) {
    const [parameter, value] = values.find(([one]) => one.name === name) ?? []
    const text = parameter === undefined ? '' : writePath(name, value, parameter)
    // eslint-disable-next-line no-control-regex
    if (parameter === undefined || text === '' || /[\x00-\x1f\x7f]/.test(String(value))) throw invalid([{ pointer: `/input/path/${name}`, message: 'must not be empty or hold control characters' }])
    path = path.replace(written, () => text)
  }
  if (hasDotSegment(path)) throw invalid([{ pointer: '/input/path', message: 'must not make a `.` or `..` of a path segment' }])
  return path
}

function bodyOf (binding: Binding, input: Input, method: string): RequestBody | undefined {
  const { bodies } = binding
  const value = input['body']
  if (bodies === undefined || (value === undefined && (binding.body_required !== true || method === 'DELETE'))) return undefined
  const chosen = bodies.find(({ media_type: type }) => type === input['content_type']) ?? bodies[0]
  if (chosen === undefined) return undefined
  return writeBody(chosen, value)
}

function writeBody (chosen: BodyChoice, value: unknown): RequestBody {
  const contentType = chosen.media_type
  switch (chosen.as) {
    case 'json': return { value, encoding: 'json', contentType }
    case 'text': return { value: requireText(value), encoding: 'text', contentType }
    case 'binary': return { value: requireFile(value, '/input/body'), encoding: 'binary', contentType }
    case 'form': return { value: writeForm(chosen, requireObject(value)), encoding: 'text', contentType }
    case 'multipart': return { value: requireObject(value), encoding: 'multipart', files: requireFiles(chosen, requireObject(value)) }
  }
}

/** Encoding Object: form style, exploded, unless it says otherwise; objects in brackets where it says deepObject, else as JSON. */
function writeForm ({ styles = {} }: BodyChoice, value: Input): string {
  return Object.entries(value).filter(([, member]) => member !== undefined).flatMap(([name, member]) => {
    const { style = 'form', explode = style === 'form', media_type: mediaType } = styles[name] ?? {}
    const json = style === 'form' && member !== null && typeof member === 'object' && !Array.isArray(member)
    return writeQuery(name, member, { style, explode, ...(mediaType ?? (json ? 'application/json' : undefined)) !== undefined && { media_type: mediaType ?? 'application/json' } })
  }).join('&')
}

/** A file wherever one is declared, and wherever the caller has sent one. */
function requireFiles ({ files = [] }: BodyChoice, value: Input): string[] {
  const errors: FieldError[] = []
  const found = Object.entries(value).filter(([name, member]) => {
    if (isFile(member)) return true
    if (files.includes(name)) errors.push({ pointer: `/input/body/${name}`, message: 'must be a file: {base64, filename?, content_type?}' })
    return false
  })
  if (errors.length > 0) throw invalid(errors)
  return found.map(([name]) => name)
}

function isFile (value: unknown): value is { base64: string } {
  return value !== null && typeof value === 'object' && 'base64' in value && typeof value.base64 === 'string' && isBase64(value.base64)
}

function requireFile (value: unknown, pointer: string): unknown {
  if (!isFile(value)) throw invalid([{ pointer, message: 'must be a file: {base64}' }])
  return value
}

function requireText (value: unknown): string {
  if (typeof value !== 'string') throw invalid([{ pointer: '/input/body', message: 'must be string: it is sent as it is' }])
  return value
}

function requireObject (value: unknown): Input {
  if (value === null || typeof value !== 'object' || Array.isArray(value)) throw invalid([{ pointer: '/input/body', message: 'must be object' }])
  return value as Input
}
