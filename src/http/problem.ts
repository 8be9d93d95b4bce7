import type { FastifyError, FastifyReply, FastifyRequest } from 'fastify'
import { ERRORS, isVaultError, VaultError, type ErrorCode, type FieldError } from '../errors.ts'
import { describe } from '../schema.ts'
import type { Problem } from './contract/problem.ts'

/** The problem document (RFC 9457) of an error. */
export function toProblem (error: VaultError, requestId: string): Problem {
  const { status, title, retryable } = ERRORS[error.code]
  const { detail, errors, meta } = error.details
  return {
    type: `urn:connection-vault:error:${error.code}`,
    title,
    status,
    ...detail !== undefined && { detail },
    code: error.code,
    retryable,
    instance: requestId,
    ...errors !== undefined && { errors: [...errors] },
    ...meta,
  }
}

/** Sends the problem of an error with its headers. */
export function sendProblem (request: FastifyRequest, reply: FastifyReply, error: VaultError): FastifyReply {
  const { status } = ERRORS[error.code]
  if (error.details.retryAfterSeconds !== undefined) reply.header('retry-after', error.details.retryAfterSeconds)
  if (status === 401) reply.header('www-authenticate', 'Bearer')
  return reply.code(status).type('application/problem+json').serializer(JSON.stringify).send(toProblem(error, request.id))
}

/** Fastify's own errors, by what they mean to a caller. Their messages may quote the request and stay behind. */
const FRAMEWORK: Readonly<Record<string, ErrorCode>> = {
  FST_ERR_CTP_BODY_TOO_LARGE: 'body_too_large',
  FST_ERR_CTP_INVALID_MEDIA_TYPE: 'media_type_unsupported',
  FST_ERR_CTP_INVALID_CONTENT_LENGTH: 'request_invalid',
  FST_ERR_CTP_INVALID_JSON_BODY: 'body_not_json',
  FST_ERR_CTP_EMPTY_JSON_BODY: 'body_not_json',
  FST_ERR_BAD_URL: 'request_invalid',
  FST_ERR_ASYNC_CONSTRAINT: 'request_invalid',
  FST_ERR_MAX_PARAM_LENGTH: 'request_invalid',
}

/** One of ours from whatever was thrown while a request was served. */
export function toVaultError (error: unknown, bodyLimitBytes: number): VaultError {
  if (isVaultError(error)) return error
  const thrown = error as Partial<FastifyError>
  if (thrown.validation !== undefined) {
    const part = thrown.validationContext ?? 'body'
    const errors: FieldError[] = thrown.validation.flatMap((one) => describe(one, part === 'body' ? '' : `/${PARTS[part] ?? part}`))
    return new VaultError('request_invalid', { detail: 'The request does not fit.', errors: errors.slice(0, 20) })
  }
  const code = FRAMEWORK[thrown.code ?? '']
  return new VaultError(code ?? 'internal', { cause: error, ...code === 'body_too_large' && { detail: `At most ${bodyLimitBytes} bytes are read.` } })
}

/** As pointers name them; a body's begin at its root. */
const PARTS: Readonly<Record<string, string>> = { querystring: 'query', params: 'path' }
