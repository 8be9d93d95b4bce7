import { HOST, type AuthScheme, type Field } from '../manifest.ts'
import { ImportError } from './import-error.ts'
import { endpointOf, judgeUrl } from '../../egress/index.ts'
import { toSnakeCase } from './names.ts'
import { isObject, type Json, type JsonObject } from './read-document.ts'

/** Where a document's API is. */
export interface ReadServer {
  /** `{name}` stands for a config field. Without a slash at its end. */
  readonly template: string
  /** What its host can be. */
  readonly host: string
  readonly fields: readonly Field[]
}

export interface JudgedServer {
  readonly url: string
  readonly description: string | undefined
  /** Undefined where it can't be used; `problem` says why. */
  readonly server: ReadServer | undefined
  readonly problem: string | undefined
}

/** The first label of hosts that mean "put your own here". */
const PLACEHOLDERS = /(^|\.)(example|invalid|test|localhost)(\.(com|org|net))?$|^(your|my)[-_.]?|^(api\.)?(yourdomain|mydomain|company|domain|hostname|server|host)\./i

/** The usable servers of a list of Server Objects, and why others are not. `base` is where the document came from. */
export function readServers (list: Json | undefined, from: Origin): JudgedServer[] {
  if (!Array.isArray(list)) return []
  return (list as readonly Json[]).filter(isObject).flatMap((one) => {
    const { url, description } = one
    if (typeof url !== 'string') return []
    const variables = isObject(one['variables']) ? one['variables'] : {}
    return [judge({ url, description: typeof description === 'string' ? description : undefined, variables }, from)]
  })
}

/** A server somebody has entered. */
export function readServer (url: string, reach: Reach | undefined): JudgedServer {
  return judge({ url, description: undefined, variables: {} }, { reach })
}

/** Why a host is not called; undefined when it may be. */
export function judgeReach (url: URL, reach: Reach | undefined): string | undefined {
  if (reach?.closed.has(endpointOf(url)) === true) return 'is a host of the operator’s own'
  return judgeUrl(url, reach?.open ?? new Set())
}

/** Private endpoints, `host:port`, that an operator has opened, and those that are open to others. */
export interface Reach {
  readonly open: ReadonlySet<string>
  readonly closed: ReadonlySet<string>
}

/** Where a document came from, and what its API may be reached at. */
export interface Origin {
  readonly base?: string | undefined
  readonly reach?: Reach | undefined
}

interface Written {
  readonly url: string
  readonly description: string | undefined
  readonly variables: JsonObject
}

function judge ({ url, description, variables }: Written, { base, reach }: Origin): JudgedServer {
  const refused = (problem: string): JudgedServer => ({ url, description, server: undefined, problem })
  const absolute = resolve(url.trim(), base, reach)
  if (absolute === undefined) return refused('is relative, and nobody knows to what: say where the API is')
  const named = nameVariables(absolute, variables)
  if (named === undefined) return refused('can’t be read')
  const { template, fields, sample, host } = named
  const parsed = URL.parse(sample)
  if (parsed === null || parsed.search !== '' || parsed.hash !== '' || !new RegExp(HOST).test(host)) return refused('can’t be read')
  if (PLACEHOLDERS.test(parsed.hostname) && !host.includes('*')) return refused('is a placeholder: say where the API is')
  const verdict = host === '*' ? undefined : judgeReach(parsed, reach)
  if (verdict !== undefined) return refused(verdict)
  return { url, description, problem: undefined, server: { template, host, fields } }
}

/** Plain http is made https, unless an operator has opened the endpoint: what answers there sends one on to it. */
function resolve (url: string, base: string | undefined, reach: Reach | undefined): string | undefined {
  const secure = (text: string) => {
    const parsed = URL.parse(text)
    const plain = parsed !== null && reach?.open.has(endpointOf(parsed)) === true
    return (plain ? text : text.replace(/^http:\/\//i, 'https://')).replace(/\/+$/, '')
  }
  if (/^https?:\/\//i.test(url)) return secure(url)
  if (url.startsWith('//')) return secure(`https:${url}`)
  if (/^[a-z][a-z0-9+.-]*:/i.test(url)) return undefined
  // A variable may hold the scheme, too.
  if (/^\{[^{}]+\}:\/\//.test(url)) return secure(url.replace(/^\{[^{}]+\}/, 'https'))
  if (base === undefined) return /^[a-z0-9-]+(\.[a-z0-9-]+)+(:\d+)?(\/|$)/i.test(url) ? secure(`https://${url}`) : undefined
  return URL.canParse(url, base) && !url.includes('{') ? secure(new URL(url, base).href) : undefined
}

/** Variables as config fields: in the host each is a label, or the host itself; in the path it is a part of it. */
function nameVariables (url: string, variables: JsonObject): { template: string, fields: Field[], sample: string, host: string } | undefined {
  const [, scheme = '', authority = '', path = ''] = /^(https?):\/\/([^/]*)(.*)$/i.exec(url) ?? []
  if (authority === '' || authority.includes('@') || /[{}]/.test(url.replaceAll(/\{[^{}]+\}/g, ''))) return undefined
  const fields = new Map<string, Field>()
  const whole = /^\{[^{}]+\}$/.test(authority)
  const kindOf = (text: string, variable: string) => whole ? 'host' as const : text.endsWith(`:{${variable}}`) ? 'port' as const : 'label' as const
  const put = (text: string, place: 'host' | 'path') => text.replaceAll(/\{([^{}]+)\}/g, (_all, variable: string) => {
    const field = fieldOf(variable, isObject(variables[variable]) ? variables[variable] : {}, place === 'path' ? 'path' : kindOf(text, variable))
    fields.set(field.name, field)
    return `{${field.name}}`
  })
  const template = `${scheme.toLowerCase()}://${put(authority.toLowerCase() === authority ? authority : lowerOutside(authority), 'host')}${put(path, 'path')}`.replace(/\/+$/, '')
  const host = whole ? '*' : lowerOutside(authority).replaceAll(/\{[^{}]+\}/g, '*')
  const sample = template.replaceAll(/\{([^{}]+)\}/g, (_all, name: string) => fields.get(name)?.default ?? fields.get(name)?.enum?.[0] ?? (whole ? 'api.any.dev' : 'x'))
  return { template, fields: [...fields.values()], sample: sample.replace(/:x(?=\/|$)/, ':443'), host: host.replace(/:443$/, '') }
}

function lowerOutside (authority: string): string {
  return authority.replaceAll(/\{[^{}]+\}|[^{}]+/g, (part) => part.startsWith('{') ? part : part.toLowerCase())
}

const PATTERNS = {
  label: ['^[A-Za-z0-9-]{1,63}$', 'one part of a host name'],
  host: ['^(?=.{1,253}$)[A-Za-z0-9-]{1,63}(\\.[A-Za-z0-9-]{1,63})+(:[0-9]{1,5})?$', 'a host name'],
  port: ['^[0-9]{1,5}$', 'a port'],
  path: ['^[A-Za-z0-9._~/-]{1,200}$', 'a part of a path'],
} as const

function fieldOf (variable: string, value: JsonObject, kind: keyof typeof PATTERNS): Field {
  const [pattern, expects] = PATTERNS[kind]
  const fits = (text: unknown): text is string => typeof text === 'string' && new RegExp(pattern).test(text) && !text.split('/').some((part) => part === '.' || part === '..')
  const options = Array.isArray(value['enum']) ? (value['enum'] as readonly Json[]).map((one) => typeof one === 'number' ? String(one) : one).filter(fits) : []
  const fallback = typeof value['default'] === 'number' ? String(value['default']) : value['default']
  return {
    name: toSnakeCase(variable).slice(0, 60) || 'server', label: variable.slice(0, 100), secret: false,
    ...typeof value['description'] === 'string' && { help: value['description'].slice(0, 300) },
    ...options.length > 0 ? { enum: options } : { pattern, expects },
    ...fits(fallback) && (options.length === 0 || options.includes(fallback)) && { default: fallback },
  }
}

export interface ChosenServers {
  readonly environments: ('sandbox' | 'live')[]
  readonly templates: Record<string, string>
  readonly hosts: string[]
  readonly fields: readonly Field[]
  /** Whether the host tells sandbox from live. */
  readonly separate: boolean
  readonly warnings: readonly string[]
}

const SANDBOX = /sandbox|staging|\bstage\b|\btest|\bdemo\b|\buat\b|\bdev\b|\bqa\b/i

/**
 * Which server each environment has: as somebody said, else by what the servers say of
 * themselves. Where that is nothing, each connection says the host.
 */
export function chooseServers (judged: readonly JudgedServer[], said: Readonly<Partial<Record<'sandbox' | 'live', string>>> | undefined, reach?: Reach): ChosenServers {
  const usable = judged.flatMap(({ server, description }) => server === undefined ? [] : [{ server, sandbox: SANDBOX.test(`${ownWords(server.template)} ${description ?? ''}`) }])
  const chosen = said === undefined
    ? { live: usable.find(({ sandbox }) => !sandbox)?.server, sandbox: usable.find(({ sandbox }) => sandbox)?.server }
    : { live: requireServer(said.live, reach), sandbox: requireServer(said.sandbox, reach) }
  const warnings: string[] = []
  if (chosen.live === undefined && chosen.sandbox === undefined) {
    chosen.live = askedServer(judged)
    const [first] = judged
    warnings.push(first === undefined
      ? 'The document does not say where its API is: each connection has to, unless you name a server.'
      : `No server of the document can be used (${first.url.slice(0, 200)}: ${first.problem ?? 'can’t be read'}): each connection has to say where the API is, unless you name a server.`)
  }
  // One host for both: what a sandbox run does, it does there.
  if (said === undefined && chosen.live !== undefined && chosen.sandbox === undefined) {
    chosen.sandbox = chosen.live
    warnings.push('The document names no sandbox: both environments reach the same host.')
  }
  const found = (['sandbox', 'live'] as const).flatMap((environment) => chosen[environment] === undefined ? [] : [{ environment, server: chosen[environment] }])
  return {
    environments: found.map(({ environment }) => environment),
    templates: Object.fromEntries(found.map(({ environment, server }) => [environment, server.template])),
    hosts: [...new Set(found.map(({ server }) => server.host))],
    fields: mergeFields(found.map(({ server }) => server.fields)),
    separate: new Set(found.map(({ server }) => server.template)).size > 1,
    warnings,
  }
}

/** The path is believed where the host can't be: `/v1`, or what stands behind a placeholder. */
function askedServer (judged: readonly JudgedServer[]): ReadServer {
  const path = /^(?:[a-z][a-z0-9+.-]*:)?(?:\/\/[^/]*)?((?:\/[A-Za-z0-9._~-]+)*)\/?$/i.exec(judged[0]?.url.trim() ?? '')?.[1] ?? ''
  const asked = readServer(`https://{api_host}${path.split('/').some((part) => part === '.' || part === '..') ? '' : path}`, undefined).server
  if (asked === undefined) throw new TypeError('a path that was checked has to be one')
  const [field] = asked.fields
  return { ...asked, fields: field === undefined ? [] : [{ ...field, label: 'Host of the API', help: 'Such as api.acme.dev; the document does not say it.' }] }
}

/** Without the domain itself: `.dev` is a place to live, too. */
function ownWords (template: string): string {
  const [authority = '', ...path] = template.replace(/^https:\/\//, '').split('/')
  return [...authority.split('.').slice(0, -2), ...path].join(' ')
}

/** Throws an ImportError for a server that was entered and can't be used. */
function requireServer (url: string | undefined, reach: Reach | undefined): ReadServer | undefined {
  if (url === undefined) return undefined
  const { server, problem } = readServer(url, reach)
  if (server === undefined) throw new ImportError('/servers', `can’t be used with the server ${url.slice(0, 100)}, which ${problem ?? ''}`)
  return server
}

/** A field that only one of the servers has can't be asked of the other's connections. */
function mergeFields (lists: readonly (readonly Field[])[]): Field[] {
  const all = new Map(lists.flat().map((field) => [field.name, field]))
  return [...all.values()].map((field) => lists.every((list) => list.some(({ name }) => name === field.name)) ? field : { ...field, required: false })
}

/** The scheme with what decides where its credential goes. */
export function withServerFields (scheme: AuthScheme, { fields }: ChosenServers): AuthScheme {
  const taken = new Set(scheme.fields.map(({ name }) => name))
  return { ...scheme, fields: [...scheme.fields, ...fields.filter(({ name }) => !taken.has(name))] }
}
