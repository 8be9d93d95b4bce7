import { createHash, randomBytes } from 'node:crypto'

/** Stands in every token, code and secret that a stand-in makes and whose form leaves room for it. */
export const CANARY = 'c4NaRy'

/** Who consents upstream: a workspace, organisation or person. `key` is what tests call it. */
export interface Account {
  readonly key: string
}

/** An app registered with the provider. */
export interface Client {
  readonly id: string
  /** The valid ones, the newest last: two during a rotation. */
  readonly secrets: string[]
  /** Exact; more can be pushed once the vault has told its own. */
  readonly redirectUris: string[]
}

/** What somebody agreed to at the authorize endpoint. */
export interface Consent<A extends Account> {
  readonly client: Client
  readonly account: A
  readonly query: URLSearchParams
  readonly at: number
}

/** A standing permission. A refresh gives it new tokens; it ends by revocation or upstream. */
export interface Grant<A extends Account> {
  readonly client: Client
  readonly account: A
  /** Where one consent gives several: Slack's `bot` and `user`. */
  readonly kind: string
  readonly scopes: readonly string[]
  /** When it was consented to. */
  readonly at: number
  state: 'good' | 'revoked' | 'ended'
}

/** In seconds; an access token without a lifetime lives on, without `refresh` there is no refresh token. */
export interface Lifetimes {
  readonly access?: number
  readonly refresh?: number
  /** How long a spent refresh token may be used again. */
  readonly grace?: number
  /** The access token ends when the grace of the refresh token it came with does. */
  readonly companion?: true
}

interface AccessToken<A extends Account> {
  readonly value: string
  readonly grant: Grant<A>
  goodUntil: number
  /** Ended by a refresh. */
  deadFrom: number
}

interface RefreshToken<A extends Account> {
  readonly value: string
  readonly grant: Grant<A>
  readonly companion: AccessToken<A>
  readonly goodUntil: number
  spentAt: number | undefined
}

export interface Issued<A extends Account> {
  readonly grant: Grant<A>
  readonly access: string
  readonly refresh?: string
  /** Seconds, from `at`. */
  readonly expiresIn?: number
  readonly at: number
}

export type BearerState = 'good' | 'missing' | 'unknown' | 'expired' | 'revoked' | 'ended'

export interface Spelling<A extends Account> {
  /** How a provider writes a code or a token; `text` is unique and carries the canary. */
  spell (what: 'code' | 'access' | 'refresh', text: string, grant?: Grant<A>): string
  lifetimes (grant: Grant<A>): Lifetimes
}

interface Code<A extends Account> {
  readonly consent: Consent<A>
  readonly redirectUri: string
  readonly challenge: { readonly value: string, readonly method: string } | undefined
  used: boolean
}

const CODE_SECONDS = 60

let made = 0
/** Unique text with the canary in it, letters and digits only. */
export function canaryText (): string {
  return `${CANARY}${(++made).toString().padStart(5, '0')}${randomBytes(12).toString('hex')}`
}

/** Codes, grants and tokens of one provider: what its authorization server remembers. */
export class Authority<A extends Account> {
  /** Everything secret it has ever made, to be searched for where it must not be. */
  readonly secrets: string[] = []
  readonly clients: Client[] = []
  readonly grants: Grant<A>[] = []
  /** Spent refresh tokens that came again. */
  reuses = 0
  readonly #codes = new Map<string, Code<A>>()
  readonly #access = new Map<string, AccessToken<A>>()
  readonly #refresh = new Map<string, RefreshToken<A>>()
  readonly #spelling: Spelling<A>
  readonly #reuseEnds: boolean
  #offset = 0

  constructor (spelling: Spelling<A>, reuseEnds: boolean) {
    this.#spelling = spelling
    this.#reuseEnds = reuseEnds
  }

  now (): number {
    return Date.now() + this.#offset
  }

  /** Lets time pass at the provider only. */
  advance (seconds: number): void {
    this.#offset += seconds * 1_000
  }

  keep (secret: string): string {
    this.secrets.push(secret)
    return secret
  }

  issueCode (consent: Consent<A>, redirectUri: string): string {
    const value = this.keep(this.#spelling.spell('code', canaryText()))
    const challenge = consent.query.get('code_challenge')
    const method = consent.query.get('code_challenge_method') ?? 'plain'
    this.#codes.set(value, { consent, redirectUri, challenge: challenge === null ? undefined : { value: challenge, method }, used: false })
    return value
  }

  /** What a code stands for, once; else what is wrong with it. */
  redeem (client: Client, sent: { code: string, redirectUri: string, verifier: string | null }, pkce: boolean): Consent<A> | 'wrong_code' | 'wrong_redirect_uri' | 'wrong_verifier' {
    const code = this.#codes.get(sent.code)
    if (code === undefined || code.used || code.consent.client !== client || this.now() > code.consent.at + CODE_SECONDS * 1_000) return 'wrong_code'
    if (code.redirectUri !== sent.redirectUri) return 'wrong_redirect_uri'
    if (pkce && !verifies(code.challenge, sent.verifier)) return 'wrong_verifier'
    code.used = true
    return code.consent
  }

  open (consent: Consent<A>, kind: string, scopes: readonly string[]): Issued<A> {
    const { client, account, at } = consent
    const grant: Grant<A> = { client, account, kind, scopes, at, state: 'good' }
    this.grants.push(grant)
    return this.issue(grant)
  }

  issue (grant: Grant<A>): Issued<A> {
    const { access, refresh } = this.#spelling.lifetimes(grant)
    const spell = (what: 'access' | 'refresh') => this.keep(this.#spelling.spell(what, canaryText(), grant))
    const token: AccessToken<A> = { value: spell('access'), grant, goodUntil: this.#in(access), deadFrom: Infinity }
    this.#access.set(token.value, token)
    const issued = { grant, access: token.value, at: this.now(), ...access !== undefined && { expiresIn: access } }
    if (refresh === undefined) return issued
    const value = spell('refresh')
    this.#refresh.set(value, { value, grant, companion: token, goodUntil: this.#in(refresh), spentAt: undefined })
    return { ...issued, refresh: value }
  }

  refresh (client: Client, value: string): Issued<A> | undefined {
    const token = this.#refresh.get(value)
    if (token === undefined || token.grant.client !== client) return undefined
    const { grace = 0, companion } = this.#spelling.lifetimes(token.grant)
    const again = token.spentAt !== undefined
    if (again) this.reuses++
    if (token.grant.state !== 'good' || this.now() >= token.goodUntil) return undefined
    if (again && this.now() >= (token.spentAt ?? 0) + grace * 1_000) {
      if (this.#reuseEnds) token.grant.state = 'revoked'
      return undefined
    }
    token.spentAt ??= this.now()
    if (companion) token.companion.deadFrom = token.spentAt + grace * 1_000
    return this.issue(token.grant)
  }

  judge (access: string | undefined): { state: BearerState, grant?: Grant<A> } {
    const token = access === undefined ? undefined : this.#access.get(access)
    if (token === undefined) return { state: access === undefined ? 'missing' : 'unknown' }
    const { grant } = token
    if (grant.state !== 'good') return { state: grant.state, grant }
    if (this.now() >= token.deadFrom) return { state: 'revoked', grant }
    return { state: this.now() >= token.goodUntil ? 'expired' : 'good', grant }
  }

  /** The grant that an access or refresh token belongs to. */
  grantOf (token: string): Grant<A> | undefined {
    return (this.#access.get(token) ?? this.#refresh.get(token))?.grant
  }

  /** Access tokens issued so far are past their time. */
  expire (): void {
    for (const token of this.#access.values()) token.goodUntil = Math.min(token.goodUntil, this.now())
  }

  /** Access tokens that still work and refresh tokens not yet spent: what a revocation should leave none of. */
  live (): { access: string[], refresh: string[] } {
    return {
      access: [...this.#access.keys()].filter((value) => this.judge(value).state === 'good'),
      refresh: [...this.#refresh.values()].filter((token) => token.grant.state === 'good' && token.spentAt === undefined && this.now() < token.goodUntil).map(({ value }) => value),
    }
  }

  #in (seconds: number | undefined): number {
    return seconds === undefined ? Infinity : this.now() + seconds * 1_000
  }
}

/** RFC 7636, 4.6. A verifier that nothing asked for is wrong, too. */
function verifies (challenge: { value: string, method: string } | undefined, verifier: string | null): boolean {
  if (challenge === undefined || verifier === null) return challenge === undefined && verifier === null
  if (!/^[A-Za-z0-9\-._~]{43,128}$/.test(verifier)) return false
  return (challenge.method === 'S256' ? createHash('sha256').update(verifier).digest('base64url') : verifier) === challenge.value
}
