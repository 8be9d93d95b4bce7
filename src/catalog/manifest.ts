import { Type, type Static } from 'typebox'
import { Binding } from './binding.ts'
import { closed, Environment, Name, Pointer, Pointers, Predicate, TextMap, Url } from './manifest-parts.ts'
import { OAuth } from './oauth-manifest.ts'

/**
 * The manifest of an integration: data, one YAML file each, the same shape for built-in ones and
 * those of an operator's folder. `{name}` in a template stands for a field of the connection.
 */
/** `*` stands for a label or a part of one; alone, for any public host. */
export const HOST = '^(\\*|[a-z0-9.*-]*[a-z0-9][a-z0-9.*-]*(:(\\d+|\\*))?|\\[[0-9a-f:.]+\\](:\\d+)?)$'
const Host = Type.String({ pattern: HOST })
const Template = Type.String({ minLength: 1, maxLength: 500 })

/** What a pasted value is known by. It decides, and so has to agree with, the environment and config it belongs to. */
const Prefix = Type.Object({
  starts: Type.String({ minLength: 1 }),
  environment: Type.Optional(Environment),
  config: Type.Optional(Type.Record(Type.String(), Type.String())),
}, closed)

const Field = Type.Object({
  name: Name,
  label: Type.String(),
  help: Type.Optional(Type.String()),
  /** Secret fields are sealed and shown masked; the others are the connection's config. */
  secret: Type.Boolean(),
  required: Type.Optional(Type.Boolean({ default: true })),
  pattern: Type.Optional(Type.String()),
  /** What `pattern` wants, in words. */
  expects: Type.Optional(Type.String()),
  enum: Type.Optional(Type.Array(Type.String(), { minItems: 1 })),
  prefixes: Type.Optional(Type.Array(Prefix, { minItems: 1 })),
  /** Prefixes of other things people paste here by mistake, and what to tell them. */
  refuse: Type.Optional(Type.Array(Type.Object({ starts: Type.String({ minLength: 1 }), because: Type.String() }, closed))),
  /** Taken when nothing is entered; config only. */
  default: Type.Optional(Type.String()),
  /** Used by the vault itself and never handed out by resolve. */
  vault_only: Type.Optional(Type.Boolean()),
  /** Spaces are allowed, as in a password; elsewhere a space is a paste gone wrong. */
  spaces: Type.Optional(Type.Boolean()),
}, closed)

/** The security scheme of an imported document that an injection satisfies: it is made for the actions that ask for it. */
const of = Type.Optional(Type.String())

/** One place a credential goes. One whose fields the connection does not have is left out. */
const Injection = Type.Union([
  Type.Object({ header: Type.String({ pattern: '^[A-Za-z0-9!#$%&\'*+.^_`|~-]+$' }), value: Template, of }, closed),
  Type.Object({ basic: Type.Object({ username: Type.String(), password: Type.String() }, closed), of }, closed),
  Type.Object({ query: Type.String(), value: Template, of }, closed),
  Type.Object({ cookie: Type.String(), value: Template, of }, closed),
])

const CLASSES = ['reauthorise', 'config_error', 'permission', 'step_up', 'input', 'conflict', 'not_found', 'rate_limited', 'provider_unavailable'] as const
/** `refresh_then_retry`: an access token past its time; to a caller it is `reauthorise` once a refresh has not helped. */
const AnswerClass = Type.Enum([...CLASSES, 'refresh_then_retry'])

const AuthScheme = Type.Object({
  id: Name,
  label: Type.String(),
  /** Where a person finds the credential. */
  find: Type.Optional(Type.String()),
  /** None of either where nothing is asked for. */
  fields: Type.Array(Field),
  inject: Type.Array(Injection),
  /** Overrides the integration's servers: the same product answers elsewhere for this way in. */
  servers: Type.Optional(Type.Record(Type.String(), Template)),
  /** Linked in a browser: nobody pastes these fields. */
  oauth: Type.Optional(OAuth),
}, closed)

const Schema = Type.Record(Type.String(), Type.Unknown())

/** The parts of a request that take input, each with a JSON Schema. */
const Input = Type.Object({
  path: Type.Optional(Schema), query: Type.Optional(Schema), header: Type.Optional(Schema), cookie: Type.Optional(Schema),
  body: Type.Optional(Schema),
}, closed)

/**
 * How a body is written. `form` puts lists and objects in brackets, `form_plain` repeats the name
 * of a list; `graphql` sends the action's document with the body's properties as its variables.
 */
const BodyEncoding = Type.Enum(['json', 'form', 'form_plain', 'multipart', 'graphql'])

const Action = Type.Object({
  name: Name,
  title: Type.String(),
  help: Type.Optional(Type.String()),
  method: Type.Enum(['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS', 'TRACE']),
  /** Path template below the server's: `/v1/things/{thing}`. `{+thing}` may hold slashes (RFC 6570, 3.2.3). */
  path: Type.String({ pattern: '^/' }),
  /** Another host of the same provider; it has to be among `also_hosts`. */
  server: Type.Optional(Url),
  effect: Type.Enum(['read', 'idempotent', 'unsafe']),
  /** Sent with this action beside those of every request; also what no caller may set, such as a content type. */
  headers: Type.Optional(TextMap),
  body: Type.Optional(BodyEncoding),
  input: Type.Optional(Input),
  binding: Type.Optional(Binding),
  /** The body's properties are sent as this one property, `name[]` in a list of one. */
  envelope: Type.Optional(Type.String({ pattern: '^[A-Za-z_]+(\\[\\])?$' })),
  /** The operation of a GraphQL API. */
  graphql: Type.Optional(Type.String()),
  /** Properties of a multipart body that are files, `{base64, filename?, content_type?}` in the input. */
  files: Type.Optional(Type.Array(Type.String(), { minItems: 1 })),
  /** Properties of the body that come from a credential field when the caller leaves them out. */
  from_credential: Type.Optional(Type.Record(Type.String(), Name)),
  /** The same of properties of any place, from config fields: an account that most calls are about. */
  from_config: Type.Optional(Type.Record(Type.String(), Name)),
  /** Where a credential stands in the output; with `field` it can become that field of a new connection. */
  secret_outputs: Type.Optional(Type.Array(Type.Object({ pointer: Pointer, field: Type.Optional(Name) }, closed), { minItems: 1 })),
  scopes: Type.Optional(Type.Array(Type.String())),
}, closed)

const TestRequest = Type.Object({
  method: Type.Enum(['GET', 'POST']),
  /** `{name}` stands for a config field. */
  path: Type.String({ pattern: '^/' }),
  server: Type.Optional(Url),
  query: Type.Optional(TextMap),
  body: Type.Optional(Type.Unknown()),
  auth_failed: Type.Array(Predicate, { minItems: 1 }),
  /** Refused this request, but valid for others: a restricted key. */
  limited: Type.Optional(Type.Array(Predicate)),
  /** A value in the answer that tells the environment the credential really belongs to. */
  environment: Type.Optional(Type.Object({
    pointer: Type.String(), sandbox: Type.Union([Type.String(), Type.Boolean()]), live: Type.Union([Type.String(), Type.Boolean()]),
  }, closed)),
  /** The answer lists what the credential reaches: one entry has to be what the connection is for. */
  reaches: Type.Optional(Type.Object({ list: Pointer, pointer: Pointer, is: Template }, closed)),
  /** Pointers to the upstream account's id and name in the answer. */
  account: Type.Optional(Type.Object({ id: Pointers, label: Type.Optional(Pointers) }, closed)),
}, closed)

const Conventions = Type.Object({
  body: BodyEncoding,
  /** How lists and objects stand in a query: `a=1&a=2`, or with brackets as in a form. */
  query: Type.Optional(Type.Enum(['repeat', 'brackets'])),
  /** Sent with every request; the name in lower case. */
  headers: Type.Optional(TextMap),
  request_id_header: Type.Optional(Type.String({ pattern: '^[a-z0-9_-]+$' })),
  /** Where the answer itself says it. */
  request_id_pointer: Type.Optional(Pointer),
  /** Honoured on every unsafe call: what makes one safe to repeat. A header's name, or a query parameter's. */
  idempotency_header: Type.Optional(Type.String({ pattern: '^[a-z0-9-]+$' })),
  idempotency_query: Type.Optional(Type.String()),
  /** Headers of answers that callers get beside the usual ones, such as a provider's own rate limits. */
  response_headers: Type.Optional(Type.Array(Type.String({ pattern: '^[a-z0-9-]+$' }))),
  /** Calls at one time that the provider takes from one connection. */
  concurrency: Type.Optional(Type.Integer({ minimum: 1 })),
}, closed)

export const Manifest = Type.Object({
  id: Name,
  name: Type.String(),
  category: Type.String(),
  docs: Type.Optional(Type.String({ pattern: '^https://' })),
  environments: Type.Array(Environment, { minItems: 1, uniqueItems: true }),
  /** What tells sandbox from live: the key itself, the host, or nothing (the provider has no sandbox). */
  separation: Type.Enum(['key', 'host', 'none']),
  auth: Type.Array(AuthScheme, { minItems: 1 }),
  /** Base URL of each environment. */
  servers: Type.Record(Type.String(), Template),
  /** What the host of a server may turn out to be: exact, or one leftmost wildcard label; a port only where it is not 443. */
  hosts: Type.Array(Host, { minItems: 1 }),
  /** Hosts a credential may go to beside its server's. */
  also_hosts: Type.Optional(Type.Array(Host)),
  conventions: Conventions,
  /** The first that fits names the class of a failed call; those with a pointer are looked for at HTTP 200 too. */
  errors: Type.Array(Type.Object({
    when: Predicate,
    class: AnswerClass,
    /** The provider says so of a call that it has carried out before, under the same idempotency key. */
    carried_out: Type.Optional(Type.Literal(true)),
  }, closed)),
  /** Where the provider's own words about a failure are. */
  error_message: Type.Optional(Type.Array(Type.String())),
  /** Without one a credential can’t be tested. */
  test: Type.Optional(TestRequest),
  /** Schemas that inputs point at: `#/$defs/{name}`. */
  schemas: Type.Optional(Type.Record(Type.String(), Type.Unknown())),
  actions: Type.Array(Action, { minItems: 1 }),
}, closed)

export type Manifest = Static<typeof Manifest>
export type AuthScheme = Static<typeof AuthScheme>
export type Field = Static<typeof Field>
export type Injection = Static<typeof Injection>
export type Action = Static<typeof Action>
export type TestRequest = Static<typeof TestRequest>
export type ErrorClass = typeof CLASSES[number]
export type AnswerClass = Static<typeof AnswerClass>
export type BodyEncoding = Static<typeof BodyEncoding>
export type Place = keyof Static<typeof Input>
