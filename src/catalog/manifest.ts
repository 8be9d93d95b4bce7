import { Type, type Static } from 'typebox'

/**
 * The manifest of an integration: data, one YAML file each, the same shape for built-in ones and
 * those of an operator's folder. `{name}` in a template stands for a field of the connection.
 */
const closed = { additionalProperties: false } as const
const Name = Type.String({ pattern: '^[a-z][a-z0-9_]{0,63}$' })
const Environment = Type.Enum(['sandbox', 'live'])
const Host = Type.String({ pattern: '^(\\*\\.)?[a-z0-9.-]+(:\\d+)?$' })
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
  /** Used by the vault itself and never handed out by resolve. */
  vault_only: Type.Optional(Type.Boolean()),
  /** Spaces are allowed, as in a password; elsewhere a space is a paste gone wrong. */
  spaces: Type.Optional(Type.Boolean()),
}, closed)

/** One place a credential goes. One whose fields the connection does not have is left out. */
const Injection = Type.Union([
  Type.Object({ header: Type.String({ pattern: '^[A-Za-z0-9-]+$' }), value: Template }, closed),
  Type.Object({ basic: Type.Object({ username: Type.String(), password: Type.String() }, closed) }, closed),
  Type.Object({ query: Type.String(), value: Template }, closed),
])

const AuthScheme = Type.Object({
  id: Name,
  label: Type.String(),
  /** Where a person finds the credential. */
  find: Type.Optional(Type.String()),
  fields: Type.Array(Field, { minItems: 1 }),
  inject: Type.Array(Injection, { minItems: 1 }),
  /** Overrides the integration's servers: the same product answers elsewhere for this way in. */
  servers: Type.Optional(Type.Record(Type.String(), Template)),
}, closed)

const ErrorClass = Type.Enum(['reauthorise', 'config_error', 'permission', 'step_up', 'input', 'conflict', 'not_found', 'rate_limited', 'provider_unavailable'])

/** Tells an answer by its status, a header, or a value in its JSON body; what is given must all hold. */
const Predicate = Type.Object({
  status: Type.Optional(Type.Union([Type.Integer(), Type.Array(Type.Integer())])),
  header: Type.Optional(Type.String()),
  /** JSON pointer (RFC 6901) into the body. */
  pointer: Type.Optional(Type.String({ pattern: '^(/[^/]*)*$' })),
  /** What the header or the pointed-at value is; any value when left out. */
  is: Type.Optional(Type.Array(Type.Union([Type.String(), Type.Boolean(), Type.Number()]), { minItems: 1 })),
}, closed)

const Schema = Type.Record(Type.String(), Type.Unknown())

/** The parts of a request that take input, each with a JSON Schema. */
const Input = Type.Object({
  path: Type.Optional(Schema), query: Type.Optional(Schema), header: Type.Optional(Schema), body: Type.Optional(Schema),
}, closed)

const Action = Type.Object({
  name: Name,
  title: Type.String(),
  help: Type.Optional(Type.String()),
  method: Type.Enum(['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE']),
  /** Path templates below the server's, whole segments: `/v1/things/{thing}`. */
  path: Type.String({ pattern: '^/' }),
  effect: Type.Enum(['read', 'idempotent', 'unsafe']),
  body: Type.Optional(Type.Enum(['json', 'form'])),
  input: Type.Optional(Input),
  /** Properties of the body that come from a credential field when the caller leaves them out. */
  from_credential: Type.Optional(Type.Record(Type.String(), Name)),
  scopes: Type.Optional(Type.Array(Type.String())),
}, closed)

const TestRequest = Type.Object({
  method: Type.Enum(['GET', 'POST']),
  path: Type.String({ pattern: '^/' }),
  query: Type.Optional(Type.Record(Type.String(), Type.String())),
  body: Type.Optional(Type.Unknown()),
  auth_failed: Type.Array(Predicate, { minItems: 1 }),
  /** Refused this request, but valid for others: a restricted key. */
  limited: Type.Optional(Type.Array(Predicate)),
  /** A value in the answer that tells the environment the credential really belongs to. */
  environment: Type.Optional(Type.Object({
    pointer: Type.String(), sandbox: Type.Union([Type.String(), Type.Boolean()]), live: Type.Union([Type.String(), Type.Boolean()]),
  }, closed)),
  /** Pointers to the upstream account's id and name in the answer. */
  account: Type.Optional(Type.Object({ id: Type.String(), label: Type.Optional(Type.String()) }, closed)),
}, closed)

const Conventions = Type.Object({
  body: Type.Enum(['json', 'form']),
  /** How lists and objects stand in a query: `a=1&a=2`, or with brackets as in a form. */
  query: Type.Optional(Type.Enum(['repeat', 'brackets'])),
  /** Sent with every request; the name in lower case. */
  headers: Type.Optional(Type.Record(Type.String(), Type.String())),
  request_id_header: Type.Optional(Type.String()),
  idempotency_header: Type.Optional(Type.String()),
}, closed)

export const Manifest = Type.Object({
  id: Name,
  name: Type.String(),
  category: Type.String(),
  docs: Type.String({ pattern: '^https://' }),
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
  /** The first that fits names the class of a failed call. */
  errors: Type.Array(Type.Object({ when: Predicate, class: ErrorClass }, closed)),
  /** Where the provider's own words about a failure are. */
  error_message: Type.Optional(Type.Array(Type.String())),
  test: TestRequest,
  actions: Type.Array(Action, { minItems: 1 }),
}, closed)

export type Manifest = Static<typeof Manifest>
export type AuthScheme = Static<typeof AuthScheme>
export type Field = Static<typeof Field>
export type Injection = Static<typeof Injection>
export type Action = Static<typeof Action>
export type TestRequest = Static<typeof TestRequest>
export type Predicate = Static<typeof Predicate>
export type ErrorClass = Static<typeof ErrorClass>
export type Place = keyof Static<typeof Input>
