import { hmacSha256, signingKeyOf, type Secret } from '../crypto/index.ts'
import { reveal } from '../crypto/reveal.ts'

export interface SignedMessage {
  /** The event's id: the same with each attempt, so that a receiver can tell a repeat. */
  readonly id: string
  /** Of this attempt. */
  readonly at: Date
  readonly body: string
}

/**
 * The headers of a delivery: Standard Webhooks 1.0, symmetric (`v1`), one signature for each secret
 * that is valid, so that a receiver can change over whenever it likes during a rotation.
 */
export function signWebhook (secrets: readonly Secret[], { id, at, body }: SignedMessage): Record<string, string> {
  const timestamp = String(Math.floor(at.getTime() / 1_000))
  const signatures = secrets.map((secret) => `v1,${hmacSha256(signingKeyOf(reveal(secret)), `${id}.${timestamp}.${body}`).toString('base64')}`)
  return { 'webhook-id': id, 'webhook-timestamp': timestamp, 'webhook-signature': signatures.join(' ') }
}
