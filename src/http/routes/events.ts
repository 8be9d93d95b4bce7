import type { WorkspaceId } from '../../ids.ts'
import { presentEvent, type Events } from '../../ledger/index.ts'
import type { App } from '../app.ts'
import { EventPage, ReadEvents } from '../contract/event.ts'
import { readCursor } from './paging.ts'

/** The feed, for who would rather ask than be called. */
export function eventRoutes (app: App, { events }: { events: Pick<Events, 'read'> }): void {
  app.get('/v1/events', {
    schema: {
      tags: ['events'], operationId: 'readEvents', summary: 'Read the feed of events, oldest first', description: 'Over all workspaces, each change once. Events are kept for 30 days.',
      querystring: ReadEvents, response: { 200: EventPage },
    },
    config: { errors: ['events_cleared'] },
  }, async (request) => {
    const { type, workspace_id: workspaceId, cursor, limit = 50 } = request.query
    const [after] = cursor === undefined ? [] : readCursor(cursor, ['place'])
    const read = await events.read({ type, workspaceId: workspaceId as WorkspaceId | undefined, limit, after: after === undefined ? undefined : Number(after) })
    return { events: read.events.map((row) => ({ ...presentEvent(row), data: { ...row.data } })), next_cursor: Buffer.from(String(read.next)).toString('base64url') }
  })
}
