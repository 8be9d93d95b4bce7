/**
 * The only reader of the environment. Every setting is a row below: `.env.example` is generated
 * from it, and a start with a wrong or missing setting names all of them at once.
 */

interface Setting<T> {
  readonly env: string
  readonly about: string
  /** As it stands in `.env.example`; undefined when there is no default. */
  readonly shown?: string
  readonly parse: (text: string | undefined) => T
}

class SettingProblem extends Error {}

function text (env: string, about: string): Setting<string | undefined>
function text (env: string, about: string, fallback: string): Setting<string>
function text (env: string, about: string, fallback?: string): Setting<string | undefined> {
  return { env, about, ...(fallback !== undefined && { shown: fallback }), parse: (raw) => raw ?? fallback }
}

function oneOf<T extends string> (env: string, about: string, choice: { of: readonly T[], fallback: T }): Setting<T> {
  return {
    env,
    about: `${about} One of: ${choice.of.join(', ')}.`,
    shown: choice.fallback,
    parse: (raw = choice.fallback) => {
      const found = choice.of.find((value) => value === raw)
      if (found === undefined) throw new SettingProblem(`${env} must be one of ${choice.of.join(', ')}`)
      return found
    },
  }
}

function perhapsOneOf<T extends string> (env: string, about: string, of: readonly T[]): Setting<T | undefined> {
  const { shown: _shown, ...setting } = oneOf(env, about, { of, fallback: of[0] as T })
  return { ...setting, parse: (raw) => raw === undefined ? undefined : setting.parse(raw) }
}

function integer (env: string, about: string, range: { min: number, max: number, fallback: number }): Setting<number> {
  return {
    env,
    about: `${about} ${range.min} to ${range.max}.`,
    shown: String(range.fallback),
    parse: (raw = String(range.fallback)) => {
      const value = /^\d+$/.test(raw) ? Number(raw) : NaN
      if (!(value >= range.min && value <= range.max)) {
        throw new SettingProblem(`${env} must be a whole number from ${range.min} to ${range.max}`)
      }
      return value
    },
  }
}

/** Where browsers are sent: https, but for a loopback address. */
function publicUrl (env: string, about: string): Setting<string | undefined> {
  return {
    env,
    about,
    parse: (raw) => {
      if (raw === undefined) return undefined
      const url = URL.parse(raw)
      if (url === null || !isSafeOrigin(url) || url.search !== '' || url.hash !== '') throw new SettingProblem(`${env} must be an https URL without a query, such as https://connect.example.com`)
      return `${url.origin}${url.pathname.replace(/\/+$/, '')}`
    },
  }
}

/** Origins as browsers write them, comma separated. */
function origins (env: string, about: string): Setting<ReadonlySet<string>> {
  return {
    env,
    about,
    parse: (raw = '') => {
      const entries = raw.split(',').map((entry) => entry.trim()).filter((entry) => entry !== '')
      const urls = entries.map((entry) => URL.parse(entry))
      if (urls.some((url) => url === null || !isSafeOrigin(url) || url.pathname !== '/' || url.search !== '' || url.hash !== '')) {
        throw new SettingProblem(`${env} must list https origins, such as https://app.example.com, separated by commas`)
      }
      return new Set(urls.map((url) => url?.origin ?? ''))
    },
  }
}

function isSafeOrigin (url: URL): boolean {
  const loopback = /^(localhost|127\.\d+\.\d+\.\d+|\[::1\])$/.test(url.hostname)
  return url.username === '' && url.password === '' && (url.protocol === 'https:' || (url.protocol === 'http:' && loopback))
}

/** `host:port` pairs, comma separated, compared exactly with a URL's host and port. */
function endpoints (env: string, about: string): Setting<ReadonlySet<string>> {
  return {
    env,
    about,
    parse: (raw = '') => {
      const entries = raw.split(',').map((entry) => entry.trim().toLowerCase()).filter((entry) => entry !== '')
      const wrong = entries.find((entry) => !/^(\[[0-9a-f:.]+\]|[a-z0-9.-]+):\d{1,5}$/.test(entry))
      if (wrong !== undefined) throw new SettingProblem(`${env} must list host:port pairs, separated by commas`)
      return new Set(entries)
    },
  }
}

/** Text of one form; `want` says which. */
function formed (env: string, about: string, { form, want }: { form: RegExp, want: string }): Setting<string | undefined> {
  return {
    env,
    about,
    parse: (raw) => {
      if (raw !== undefined && !form.test(raw)) throw new SettingProblem(`${env} must be ${want}`)
      return raw
    },
  }
}

const KMS_ARN = { form: /^arn:aws[a-z-]*:kms:[a-z0-9-]+:\d{12}:key\/[A-Za-z0-9-]{1,64}$/, want: 'the ARN of a KMS key, such as arn:aws:kms:eu-central-1:111122223333:key/… (no alias: it can be pointed elsewhere)' }
const TRANSIT_KEY = { form: /^\w([\w.-]{0,126}\w)?$/, want: 'the name of a transit key: letters, digits and underscores, with dots and dashes between' }
const TOKEN_LABEL = { form: /^[\w.-]([\w .-]{0,30}[\w.-])?$/, want: 'the label of a token: up to 32 letters, digits, spaces, dots, dashes and underscores' }
const HSM_KEY = { form: /^[\w.-]{1,64}$/, want: 'the label of a key: letters, digits, dots, dashes and underscores' }

const KEK_PROVIDERS = ['local', 'aws-kms', 'vault-transit', 'pkcs11'] as const

const SETTINGS = {
  nodeEnv: oneOf('NODE_ENV', 'With production the vault starts only with its own database and key provider.', { of: ['development', 'production', 'test'], fallback: 'development' }),
  databaseUrl: text('DATABASE_URL', 'Postgres as the service’s role (a member of connection_vault_service, owner of nothing). Without it, outside production, an embedded Postgres runs in DATA_DIR.'),
  ownerDatabaseUrl: text('OWNER_DATABASE_URL', 'Postgres as the role that owns the schema; only `migrate` reads it.'),
  databasePoolSize: integer('DATABASE_POOL_SIZE', 'Connections for transactions, beside 4 for single statements and one that listens.', { min: 2, max: 200, fallback: 10 }),
  databaseNotify: oneOf('DATABASE_NOTIFY', 'Whether replicas tell each other of agents’ work through LISTEN and NOTIFY, so that it waits for milliseconds instead of a second. Turn it off behind a pooler in transaction mode.', { of: ['on', 'off'], fallback: 'on' }),
  databaseStatements: oneOf('DATABASE_STATEMENTS', 'Whether statements stay prepared in their sessions. Choose unnamed behind a pooler in transaction mode that does not keep them (PgBouncer before 1.21).', { of: ['prepared', 'unnamed'], fallback: 'prepared' }),
  dataDir: text('DATA_DIR', 'Where the embedded Postgres, the keyring and the first ops token live outside production.', './data'),
  retentionDatabaseUrl: text('RETENTION_DATABASE_URL', 'Postgres as a member of connection_vault_retention; only `audit prune` reads it.'),
  kekProvider: oneOf('KEK_PROVIDER', 'Who wraps the workspace keys: a keyring file, AWS KMS, the transit engine of OpenBao or HashiCorp Vault, or an HSM.', { of: KEK_PROVIDERS, fallback: 'local' }),
  kekProviderSandbox: perhapsOneOf('KEK_PROVIDER_SANDBOX', 'Another one for sandbox. While keys move from one provider to another, both stay configured.', KEK_PROVIDERS),
  awsKmsKeyLive: formed('AWS_KMS_KEY_LIVE', 'ARN of the KMS key for live and the vault’s own keys. Credentials come the AWS SDK’s own way.', KMS_ARN),
  awsKmsKeySandbox: formed('AWS_KMS_KEY_SANDBOX', 'ARN of the KMS key for sandbox.', KMS_ARN),
  awsKmsEndpoint: text('AWS_KMS_ENDPOINT', 'URL of a VPC endpoint for KMS, instead of the region’s public one; name its host:port in EGRESS_ALLOW_KEK if its address is private.'),
  vaultAddr: text('VAULT_ADDR', 'URL of OpenBao or HashiCorp Vault; name its host:port in EGRESS_ALLOW_KEK if its address is private.'),
  vaultNamespace: text('VAULT_NAMESPACE', 'Its namespace, if it has any.'),
  vaultTokenFile: text('VAULT_TOKEN_FILE', 'File with a token for it, kept fresh by its agent.'),
  vaultTransitMount: text('VAULT_TRANSIT_MOUNT', 'Path of its transit engine.', 'transit'),
  vaultTransitKeyLive: formed('VAULT_TRANSIT_KEY_LIVE', 'Name of the transit key for live and the vault’s own keys.', TRANSIT_KEY),
  vaultTransitKeySandbox: formed('VAULT_TRANSIT_KEY_SANDBOX', 'Name of the transit key for sandbox.', TRANSIT_KEY),
  pkcs11Module: text('PKCS11_MODULE', 'Shared library of an HSM (PKCS#11). Needs the optional package pkcs11js, which is compiled where it is installed.'),
  pkcs11TokenLabel: formed('PKCS11_TOKEN_LABEL', 'Label of its token.', TOKEN_LABEL),
  pkcs11PinFile: text('PKCS11_PIN_FILE', 'File with the PIN of the token’s user. One that was refused is not tried again before the file changes.'),
  pkcs11KeyLive: formed('PKCS11_KEY_LIVE', 'Label of the generic secret (CKM_SHA256_HMAC, 32 bytes) for live and the vault’s own keys.', HSM_KEY),
  pkcs11KeySandbox: formed('PKCS11_KEY_SANDBOX', 'Label of the generic secret for sandbox.', HSM_KEY),
  keyringFile: text('KEYRING_FILE', 'Keyring of the local provider, mode 0600; make one with `connection-vault keys init`. Outside production it defaults to DATA_DIR/keyring.json.'),
  keyCacheSeconds: integer('KEY_CACHE_SECONDS', 'How long an unwrapped workspace key stays in memory.', { min: 1, max: 86_400, fallback: 600 }),
  kekCryptoperiodDays: integer('KEK_CRYPTOPERIOD_DAYS', 'After how many days a KEK in use is reported as due to be replaced.', { min: 1, max: 3_650, fallback: 365 }),
  keyCryptoperiodDays: integer('KEY_CRYPTOPERIOD_DAYS', 'The same for workspace keys and the vault’s own.', { min: 1, max: 3_650, fallback: 365 }),
  internalHost: text('INTERNAL_HOST', 'Address of the internal listener (the API).', '127.0.0.1'),
  internalPort: integer('INTERNAL_PORT', 'Port of the internal listener; 0 lets the system pick.', { min: 0, max: 65_535, fallback: 8080 }),
  publicHost: text('PUBLIC_HOST', 'Address of the public listener (browsers and agents).', '127.0.0.1'),
  publicPort: integer('PUBLIC_PORT', 'Port of the public listener; 0 lets the system pick.', { min: 0, max: 65_535, fallback: 8081 }),
  publicConnectionsMax: integer('PUBLIC_CONNECTIONS_MAX', 'Connections to the public listener open at a time, per process, and never more than half of the files it may open; what comes beyond is closed. Each agent that polls holds one.', { min: 1, max: 1_000_000, fallback: 10_000 }),
  publicUrl: publicUrl('PUBLIC_URL', 'Where browsers reach the public listener; it may have a path, under which it is proxied. OAuth apps are registered with it. Without it, the listener’s own address.'),
  returnOrigins: origins('RETURN_ORIGINS', 'Origins of the host product that a browser may be sent back to after linking.'),
  productName: text('PRODUCT_NAME', 'How the hosted connect page names the host product.', 'Connection Vault'),
  operationsHost: text('OPERATIONS_HOST', 'Address of the operations listener (/livez, /readyz, /metrics).', '127.0.0.1'),
  operationsPort: integer('OPERATIONS_PORT', 'Port of the operations listener; 0 lets the system pick.', { min: 0, max: 65_535, fallback: 9090 }),
  tlsCertFile: text('TLS_CERT_FILE', 'PEM certificate chain for the internal listener; with TLS_KEY_FILE it speaks only TLS.'),
  tlsKeyFile: text('TLS_KEY_FILE', 'PEM private key for TLS_CERT_FILE.'),
  tlsClientCaFile: text('TLS_CLIENT_CA_FILE', 'PEM CA: callers of the internal listener must show a certificate it signed.'),
  trustedIssuersFile: text('TRUSTED_ISSUERS_FILE', 'JSON list of JWT issuers whose tokens are accepted; see docs/callers.md.'),
  catalogDir: text('CATALOG_DIR', 'Folder of further integration manifests (*.yaml, *.json). One with the id of a built-in integration replaces it.'),
  egressAllowProvider: endpoints('EGRESS_ALLOW_PROVIDER', 'Private host:port pairs that manifests may name, plain http allowed there. Everything else private is refused.'),
  egressAllowIssuer: endpoints('EGRESS_ALLOW_ISSUER', 'Private host:port pairs from which keys of trusted issuers may be fetched, plain http allowed there.'),
  egressAllowWebhook: endpoints('EGRESS_ALLOW_WEBHOOK', 'Private host:port pairs that webhooks may name, plain http allowed there.'),
  egressAllowCustomApi: endpoints('EGRESS_ALLOW_CUSTOM_API', 'Private host:port pairs that Custom APIs of workspaces may reach, plain http allowed there; those of manifests are closed to them.'),
  egressAllowDocument: endpoints('EGRESS_ALLOW_DOCUMENT', 'Private host:port pairs from which OpenAPI documents may be fetched, plain http allowed there.'),
  egressAllowKek: endpoints('EGRESS_ALLOW_KEK', 'Private host:port pairs where the key provider may be, plain http allowed there.'),
  rateLimitPerMinute: integer('RATE_LIMIT_PER_MINUTE', 'Requests a caller may make in a minute, per process.', { min: 1, max: 1_000_000_000, fallback: 60_000 }),
  bodyLimitBytes: integer('BODY_LIMIT_BYTES', 'Largest request body read.', { min: 1024, max: 33_554_432, fallback: 1_048_576 }),
  invokeBodyLimitBytes: integer('INVOKE_BODY_LIMIT_BYTES', 'Largest request body of invoke and request, where files come in base64.', { min: 1024, max: 67_108_864, fallback: 16_777_216 }),
  responseLimitBytes: integer('RESPONSE_LIMIT_BYTES', 'Largest answer of a provider read.', { min: 1024, max: 67_108_864, fallback: 8_388_608 }),
  workInFlight: integer('WORK_IN_FLIGHT', 'Requests of the internal listener at work at a time, per process; as many may wait for a moment, and one caller has at most half. The public listener has half as many of its own.', { min: 4, max: 100_000, fallback: 256 }),
  customApiBytesPerWorkspace: integer('CUSTOM_API_BYTES_PER_WORKSPACE', 'Bytes that all revisions of a workspace’s Custom APIs may hold, as they are compiled.', { min: 1_048_576, max: 1_099_511_627_776, fallback: 1_073_741_824 }),
  callsInFlight: integer('CALLS_IN_FLIGHT', 'Requests that wait for a provider or an agent at a time, per process, beside those; one caller has at most half.', { min: 4, max: 100_000, fallback: 2_048 }),
  callsPerConnection: integer('CALLS_PER_CONNECTION', 'Calls of one connection under way at a time, per process; four times as many may wait.', { min: 1, max: 10_000, fallback: 32 }),
  callsPerOrigin: integer('CALLS_PER_ORIGIN', 'Calls to one host of a provider under way at a time, per process, of which one workspace may have half; four times as many may wait.', { min: 1, max: 10_000, fallback: 128 }),
  shutdownSeconds: integer('SHUTDOWN_SECONDS', 'How long running requests may take to finish after SIGTERM.', { min: 1, max: 600, fallback: 130 }),
  logLevel: oneOf('LOG_LEVEL', 'How much is logged.', { of: ['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent'], fallback: 'info' }),
} as const satisfies Record<string, Setting<unknown>>

export type Config = { readonly [K in keyof typeof SETTINGS]: ReturnType<(typeof SETTINGS)[K]['parse']> }

/** A start that can't go on because of its settings; `message` says what to do, without any value. */
export class ConfigError extends Error {}

type Env = Readonly<Record<string, string | undefined>>

/**
 * Reads the settings. An empty variable counts as absent. Throws a ConfigError that names every
 * wrong or missing one. `operate` is for verbs that prepare what serving in production needs.
 */
export function readConfig (use: 'serve' | 'operate' = 'serve', env: Env = process.env): Config {
  const problems: string[] = []
  const config: Record<string, unknown> = {}
  for (const [name, setting] of Object.entries(SETTINGS)) {
    try {
      config[name] = setting.parse(env[setting.env] === '' ? undefined : env[setting.env])
    } catch (error) {
      if (!(error instanceof SettingProblem)) throw error
      problems.push(error.message)
    }
  }
  problems.push(...judgeTogether(config as Config, use), ...judgeDebug(env))
  if (problems.length > 0) throw new ConfigError(problems.join('\n'))
  return Object.freeze(config) as Config
}

function judgeTogether (config: Config, use: 'serve' | 'operate'): string[] {
  const problems: string[] = []
  if (config.nodeEnv === 'production' && use === 'serve') {
    if (config.databaseUrl === undefined) problems.push('DATABASE_URL is missing: production never runs on the embedded Postgres')
    const local = config.kekProvider === 'local' || config.kekProviderSandbox === 'local'
    if (local && config.keyringFile === undefined) problems.push('KEYRING_FILE is missing: make one with `connection-vault keys init --file PATH`, keep a copy apart from the database, and name it here')
  }
  problems.push(...judgeKekProviders(config))
  if ((config.tlsCertFile === undefined) !== (config.tlsKeyFile === undefined)) problems.push('TLS_CERT_FILE and TLS_KEY_FILE go together')
  if (config.tlsClientCaFile !== undefined && config.tlsCertFile === undefined) problems.push('TLS_CLIENT_CA_FILE needs TLS_CERT_FILE and TLS_KEY_FILE')
  return problems
}

/** What production can do without until the first account is linked by OAuth; undefined when nothing is amiss. */
export function judgePublicUrl ({ nodeEnv, publicUrl: url }: Pick<Config, 'nodeEnv' | 'publicUrl'>): string | undefined {
  if (nodeEnv !== 'production' || url !== undefined) return undefined
  return 'PUBLIC_URL is missing: connect pages and redirect URIs lead to the public listener’s own address, which browsers elsewhere can’t reach'
}

const MOUNT = /^\w[\w.-]{0,63}(\/\w[\w.-]{0,63}){0,7}$/

/** What the providers that wrap new keys need. */
function judgeKekProviders (config: Config): string[] {
  const wanted = (provider: string, live: string | undefined, sandbox: string | undefined) => [
    ...config.kekProvider === provider && live === undefined ? ['LIVE'] : [],
    ...(config.kekProviderSandbox ?? config.kekProvider) === provider && sandbox === undefined ? ['SANDBOX'] : [],
  ]
  const uses = (provider: string) => config.kekProvider === provider || config.kekProviderSandbox === provider
  return [
    ...wanted('aws-kms', config.awsKmsKeyLive, config.awsKmsKeySandbox).map((slot) => `AWS_KMS_KEY_${slot} is missing: the ARN of a symmetric KMS key`),
    ...wanted('vault-transit', config.vaultTransitKeyLive, config.vaultTransitKeySandbox).map((slot) => `VAULT_TRANSIT_KEY_${slot} is missing: the name of a key of the transit engine`),
    ...wanted('pkcs11', config.pkcs11KeyLive, config.pkcs11KeySandbox).map((slot) => `PKCS11_KEY_${slot} is missing: the label of a generic secret in the token`),
    ...uses('pkcs11') && (config.pkcs11Module === undefined || config.pkcs11TokenLabel === undefined || config.pkcs11PinFile === undefined) ? ['KEK_PROVIDER pkcs11 needs PKCS11_MODULE, PKCS11_TOKEN_LABEL and PKCS11_PIN_FILE'] : [],
    ...MOUNT.test(config.vaultTransitMount) ? [] : ['VAULT_TRANSIT_MOUNT must be a path such as transit or team/transit'],
    ...uses('vault-transit') && (config.vaultAddr === undefined || config.vaultTokenFile === undefined) ? ['KEK_PROVIDER vault-transit needs VAULT_ADDR and VAULT_TOKEN_FILE'] : [],
  ]
}

/** Sections of NODE_DEBUG that print request headers, and with them every credential sent. */
const LEAKY_DEBUG = ['http', 'https', 'http2', 'net', 'tls', 'stream', 'undici', 'fetch', 'websocket', '*']

/** Namespaces of the `debug` package whose lines hold client secrets and codes: simple-oauth2 prints its requests. */
const LEAKY_NAMESPACES = ['simple-oauth2:client', 'simple-oauth2:request-options']

function judgeDebug (env: Env): string[] {
  const sections = (env['NODE_DEBUG'] ?? '').toLowerCase().split(',').map((section) => section.trim())
  const leaky = sections.some((section) => LEAKY_DEBUG.some((name) => section === name || section.includes('*')))
  const patterns = (env['DEBUG'] ?? '').split(/[\s,]+/).filter((pattern) => pattern !== '' && !pattern.startsWith('-'))
  // Any wildcard that might reach them; an exclusion beside it is not relied on.
  const printing = patterns.some((pattern) => {
    const [start = ''] = pattern.split('*')
    return LEAKY_NAMESPACES.some((name) => pattern.includes('*') ? name.startsWith(start) : name === pattern)
  })
  return [...leaky ? ['NODE_DEBUG would print credentials: unset it'] : [], ...printing ? ['DEBUG would print credentials: unset it'] : []]
}

/** The text of `.env.example`. */
export function describeSettings (): string {
  const rows = Object.values(SETTINGS).map((setting: Setting<unknown>) =>
    `# ${setting.about}\n#${setting.env}=${setting.shown ?? ''}\n`)
  return `# Settings of the vault, read from the environment. Generated from src/config.ts by \`npm run generate\`.\n\n${rows.join('\n')}`
}
