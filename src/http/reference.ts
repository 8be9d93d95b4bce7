import swagger from '@fastify/swagger'
import swaggerUi from '@fastify/swagger-ui'
import type { App } from './app.ts'
import { ConnectSession } from './contract/connect-session.ts'
import { Connection } from './contract/connection.ts'
import { CustomApi } from './contract/custom-api.ts'
import { Event } from './contract/event.ts'
import { InvokeResponse } from './contract/invoke.ts'
import { OAuthApp } from './contract/oauth-app.ts'
import { Problem } from './contract/problem.ts'
import { ResolvedCredential } from './contract/resolve.ts'
import { DestructionCertificate, KeySweep } from './contract/key.ts'
import { ServiceToken } from './contract/service-token.ts'
import { Webhook } from './contract/webhook.ts'

const DESCRIPTION = `Custody, resolve and invoke of connections. Every error is a problem document (RFC 9457) whose \`code\` is listed with each route.
Unknown properties are refused. Lists are paged by \`cursor\`. \`X-Actor\` names the person on whose behalf a backend acts and goes into the audit.`

const header = (name: string, description: string) => ({ name, in: 'header', required: true, description, schema: { type: 'string' } }) as const

/** What an endpoint of the host product is sent. */
const DELIVERY = {
  operationId: 'event',
  tags: ['events'],
  summary: 'An event',
  description: 'Sent until it is answered with 2xx, for three days; it may come more than once and out of order. Signed by Standard Webhooks: check the signature over the raw body before anything else.',
  parameters: [
    header('webhook-id', 'The event’s id, the same with each attempt.'),
    header('webhook-timestamp', 'Seconds since 1970 of this attempt.'),
    header('webhook-signature', '`v1,` and the base64 of an HMAC-SHA-256; during a rotation two, separated by a space.'),
  ],
  requestBody: { required: true, content: { 'application/json': { schema: { $ref: '#/components/schemas/Event' } } } },
  responses: { '2XX': { description: 'Taken.' }, 410: { description: 'Never send here again: the webhook is disabled.' } },
}

/** The contract as OpenAPI 3.1 under /openapi.yaml, and a page to read it under /docs. Before any route. */
export async function describeApi (app: App, version: string): Promise<void> {
  const schemas = [
    Problem, Connection, ResolvedCredential, InvokeResponse, ServiceToken, KeySweep, DestructionCertificate,
    ConnectSession, OAuthApp, Event, Webhook, CustomApi,
  ]
  for (const schema of schemas) app.addSchema(schema)
  await app.register(swagger, {
    openapi: {
      openapi: '3.1.0',
      info: { title: 'connection-vault', version, description: DESCRIPTION, license: { name: 'Apache-2.0', identifier: 'Apache-2.0' } as { name: string } },
      servers: [{ url: '/' }],
      tags: [
        { name: 'catalog', description: 'What can be connected' },
        { name: 'connections', description: 'Credentials in custody' },
        { name: 'linking', description: 'Link an account in a browser' },
        { name: 'oauth', description: 'Apps registered with providers' },
        { name: 'use', description: 'Resolve a credential, or run an action without seeing it' },
        { name: 'private', description: 'Agents inside customers’ networks' },
        { name: 'events', description: 'Be told of changes' },
        { name: 'audit', description: 'What happened' },
        { name: 'operations', description: 'For operators' },
      ],
      webhooks: { event: { post: DELIVERY } },
      components: { securitySchemes: { bearer: { type: 'http', scheme: 'bearer', description: 'A service token (`cvt_…`) or a JWT of a trusted issuer.' } } },
    },
    refResolver: { buildLocalReference: (json) => json['$id'] as string },
  })
  await app.register(swaggerUi, {
    routePrefix: '/docs', staticCSP: true, uiConfig: { deepLinking: true, tryItOutEnabled: false, validatorUrl: null },
    // The listener may speak plain http, where the page's own style and script would be asked for by https; and nobody elsewhere is shown the contract.
    transformStaticCSP: (policy) => policy.replace(/ upgrade-insecure-requests;?/, '').replace(' validator.swagger.io', ''),
  })
}

/** Once all routes are there. */
export function serveDescription (app: App): void {
  app.get('/openapi.yaml', { schema: { hide: true } }, async (_request, reply) => await reply.type('application/yaml').send(app.swagger({ yaml: true })))
}
