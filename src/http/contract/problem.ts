import { Type, type Static } from 'typebox'

/** A problem document (RFC 9457), `application/problem+json`. */
export const Problem = Type.Object({
  type: Type.String({ description: 'urn:connection-vault:error:<code>' }),
  title: Type.String(),
  status: Type.Integer(),
  detail: Type.Optional(Type.String()),
  code: Type.String({ description: 'Stable name of the error; see docs/errors.md.' }),
  retryable: Type.Boolean({ description: 'Whether the same request may succeed later.' }),
  instance: Type.String({ description: 'Id of the request, also in X-Request-Id.' }),
  errors: Type.Optional(Type.Array(Type.Object({ pointer: Type.String(), message: Type.String() }))),
}, { $id: 'Problem', additionalProperties: true })
export type Problem = Static<typeof Problem>
