// Generated from openapi.yaml by `npm run generate`.

export interface components {
    schemas: {
        readonly Problem: {
            /** @description urn:connection-vault:error:<code> */
            readonly type: string;
            readonly title: string;
            readonly status: number;
            readonly detail?: string;
            /** @description Stable name of the error; see docs/errors.md. */
            readonly code: string;
            /** @description Whether the same request may succeed later. */
            readonly retryable: boolean;
            /** @description Id of the request, also in X-Request-Id. */
            readonly instance: string;
            readonly errors?: readonly {
                readonly pointer: string;
                readonly message: string;
            }[];
        } & {
            readonly [key: string]: unknown;
        };
        readonly Connection: {
            readonly id: string;
            /** @description The host product’s id of the tenant, compared exactly. */
            readonly workspace_id: string;
            readonly integration: string;
            /** @description Of a Custom API: the revision that decides authentication and hosts. */
            readonly integration_revision: number | null;
            readonly environment: "sandbox" | "live";
            readonly name: string;
            readonly auth: string;
            readonly status: "pending" | "active" | "needs_reauth" | "disabled" | "error";
            readonly status_reason: string | null;
            readonly config: {
                readonly [key: string]: string;
            };
            /** @description What may be shown of each secret field: its known prefix and at most its last four characters; of the tokens of a linked account nothing, `••••`. */
            readonly preview: {
                readonly [key: string]: string;
            };
            /** @description The upstream account, once a test has shown it. */
            readonly account: {
                readonly id?: string;
                readonly label?: string | null;
            } | null;
            /** @description What an OAuth grant allows; null for what was pasted. */
            readonly granted_scopes: readonly string[] | null;
            readonly credential_version: string;
            readonly version_number: number;
            /** @description Where the credential may go. */
            readonly hosts: readonly string[];
            /** Format: date-time */
            readonly expires_at: string | null;
            readonly expires_on: string | null;
            /** Format: date-time */
            readonly last_refreshed_at: string | null;
            /** Format: date-time */
            readonly next_refresh_at: string | null;
            /** Format: date-time */
            readonly last_used_at: string | null;
            readonly labels: {
                readonly [key: string]: string;
            };
            readonly allowed_actions: readonly string[] | null;
            readonly allowed_hosts: readonly string[] | null;
            readonly created_by: string;
            /** Format: date-time */
            readonly created_at: string;
            readonly updated_by: string;
            /** Format: date-time */
            readonly updated_at: string;
            readonly etag: string;
            /** @description What whoever made it should know, in the answers to create, rotate and complete, where there is something: that a sandbox connection reaches a real account, that its account is connected in the other environment as well, or that a test was asked for and there is none. */
            readonly warnings?: readonly string[];
        };
        readonly ResolvedCredential: {
            readonly connection_id: string;
            readonly integration: string;
            readonly environment: "sandbox" | "live";
            readonly auth: string;
            readonly version: string;
            /** Format: date-time */
            readonly expires_at: string | null;
            /**
             * @description `stale_usable`: it expires sooner than `min_ttl_seconds` and can’t be renewed.
             */
            readonly freshness: "fresh" | "stale_usable";
            readonly credentials: {
                readonly [key: string]: string;
            };
            /** @description Ready to use: add a path. */
            readonly request: {
                readonly base_url: string;
                readonly headers: {
                    readonly [key: string]: string;
                };
                readonly query: {
                    readonly [key: string]: string;
                };
            };
        };
        readonly InvokeResponse: {
            readonly invocation_id: string;
            readonly outcome: "succeeded" | "failed";
            /** @description Null for private connections: their agents make calls of their own. */
            readonly provider: {
                readonly status: number;
                readonly headers: {
                    readonly [key: string]: string;
                };
                readonly request_id: string | null;
            } | null;
            /** @description Parsed JSON, a text, `{content_type, base64}` for other bytes, or null. Every occurrence of the credential is replaced. */
            readonly output: unknown;
            readonly error?: {
                readonly class: "reauthorise" | "config_error" | "permission" | "step_up" | "input" | "conflict" | "not_found" | "rate_limited" | "provider_unavailable" | "action_failed";
                readonly message: string;
            };
            readonly attempts: number;
            readonly duration_ms: number;
            /** @description An earlier call with the same idempotency key came to this; nothing was sent now. */
            readonly replayed: boolean;
            readonly agent_id?: string;
            /** @description What `store_as` has made. In the output `[stored]` stands for the credential. */
            readonly stored?: {
                readonly connection_id: string;
                readonly name: string;
            };
            /** @description Why `store_as` has made nothing; the credential is in the output, so that it is not lost. */
            readonly store_error?: {
                readonly code: string;
                readonly message: string;
            };
        } | {
            /** @enum {boolean} */
            readonly dry_run: true;
            readonly request: {
                readonly method: string;
                readonly url: string;
                readonly headers: {
                    readonly [key: string]: string;
                };
                readonly body: unknown;
            };
        } | {
            /** @enum {boolean} */
            readonly dry_run: true;
            readonly relay: {
                readonly group_id: string;
                readonly action: string;
                readonly effect: "read" | "idempotent" | "unsafe";
                /** @description Agents of the group that run it. */
                readonly agents: number;
                readonly agents_online: number;
                readonly input: unknown;
            };
        };
        readonly ServiceToken: {
            readonly id: string;
            readonly name: string;
            readonly scopes: readonly string[];
            readonly workspaces: readonly string[];
            readonly environments: readonly string[];
            readonly created_by: string;
            /** Format: date-time */
            readonly created_at: string;
            /** Format: date-time */
            readonly expires_at: string | null;
            /** Format: date-time */
            readonly revoked_at: string | null;
            readonly revoked_by: string | null;
        };
        readonly KeySweep: {
            readonly state: "idle" | "running";
            readonly requested_by: string | null;
            /** Format: date-time */
            readonly requested_at: string | null;
            /** Format: date-time */
            readonly finished_at: string | null;
            readonly rows_per_second: number | null;
            readonly keys_made: number;
            readonly keys_rewrapped: number;
            /** @description Rows under replaced keys when the sweep came to them; 0 before that. */
            readonly rows_total: number;
            readonly rows_done: number;
            /** @description Values that do not open where they were found. They are left as they are and keep their key from being retired; `connection-vault doctor` names them. */
            readonly rows_failed: number;
        };
        readonly DestructionCertificate: {
            /** @description The host product’s id of the tenant, compared exactly. */
            readonly workspace_id: string;
            /** Format: date-time */
            readonly destroyed_at: string;
            /** @description Keys whose bytes were erased. */
            readonly keys: readonly string[];
            /** @description Rows deleted, by table. */
            readonly rows: {
                readonly [key: string]: number;
            };
            /** @description Grants that stay good at their providers. Delete the connections first to have them revoked. */
            readonly grants_left: number;
            readonly statement: string;
        };
        readonly ConnectSession: {
            readonly id: string;
            /** @description The host product’s id of the tenant, compared exactly. */
            readonly workspace_id: string;
            readonly environment: "sandbox" | "live";
            /**
             * @description `open`: nobody has come yet. `bound`: to the browser that came first. `confirming`: linked, waiting for `complete`.
             */
            readonly state: "open" | "bound" | "confirming" | "completed" | "ended" | "expired";
            readonly ended_reason: string | null;
            readonly integrations: readonly string[];
            readonly name: string;
            readonly labels: {
                readonly [key: string]: string;
            };
            readonly actor: string;
            readonly return_url: string | null;
            readonly confirmation: "required" | "none";
            readonly reconnects: string | null;
            /** @description Once it is completed. */
            readonly connection_id: string | null;
            /** Format: date-time */
            readonly expires_at: string;
            /** Format: date-time */
            readonly confirm_until: string | null;
            readonly created_by: string;
            /** Format: date-time */
            readonly created_at: string;
        };
        readonly OAuthApp: {
            readonly id: string;
            readonly integration: string;
            readonly environment: "sandbox" | "live";
            /** @description Null for the vault’s own app, which every workspace without its own links with. */
            readonly workspace_id: string | null;
            readonly client_id: string;
            readonly client_secret_preview: string;
            /** Format: date-time */
            readonly previous_secret_until: string | null;
            /** @description Register exactly this with the provider. */
            readonly redirect_uri: string;
            /** @description What is asked for, by auth scheme. */
            readonly scopes: {
                readonly [key: string]: readonly string[];
            };
            readonly created_by: string;
            /** Format: date-time */
            readonly created_at: string;
            readonly updated_by: string;
            /** Format: date-time */
            readonly updated_at: string;
            readonly etag: string;
        };
        /** @description Also the body of a delivery to a webhook. */
        readonly Event: {
            readonly id: string;
            readonly type: string;
            /** Format: date-time */
            readonly timestamp: string;
            readonly data: {
                readonly workspace_id: string | null;
                readonly environment: string | null;
            } & {
                readonly [key: string]: unknown;
            };
        };
        readonly Webhook: {
            readonly id: string;
            readonly url: string;
            readonly description: string | null;
            readonly event_types: readonly string[] | null;
            readonly environments: readonly ("sandbox" | "live")[];
            readonly status: "enabled" | "disabled";
            /** @description `requested`, `gone` (it answered 410) or `failing` (for five days). */
            readonly status_reason: string | null;
            /**
             * Format: date-time
             * @description Since when it has taken nothing.
             */
            readonly failing_since: string | null;
            /** Format: date-time */
            readonly last_delivered_at: string | null;
            /**
             * Format: date-time
             * @description Until then deliveries carry a signature by the secret before as well.
             */
            readonly previous_secret_until: string | null;
            readonly created_by: string;
            /** Format: date-time */
            readonly created_at: string;
            readonly updated_by: string;
            /** Format: date-time */
            readonly updated_at: string;
            readonly etag: string;
        };
        readonly CustomApi: {
            readonly id: string;
            /** @description The host product’s id of the tenant, compared exactly. */
            readonly workspace_id: string;
            readonly name: string;
            readonly docs: string | null;
            readonly environments: readonly ("sandbox" | "live")[];
            /**
             * @description What tells sandbox from live: the credential (`key`), the `host`, or `none`: then what sandbox runs do, they do in a real account. Say so before a sandbox credential is entered.
             */
            readonly separation: "key" | "host" | "none";
            readonly auth: readonly {
                readonly id: string;
                readonly label: string;
                /**
                 * @description Whether a person pastes the credential or links the account in a browser.
                 */
                readonly kind: "pasted" | "oauth2";
                /** @description OAuth scopes asked for unless the app says otherwise. */
                readonly scopes?: readonly string[];
                /** @description Where a person finds the credential. */
                readonly find?: string;
                /** @description JSON Schema (2020-12). */
                readonly credentials: {
                    readonly [key: string]: unknown;
                };
                /** @description JSON Schema (2020-12). */
                readonly config: {
                    readonly [key: string]: unknown;
                };
            }[];
            /** @description The one that is shown. */
            readonly revision: number;
            /** @description The one that calls without `revision` are made with. */
            readonly newest_revision: number;
            readonly source: {
                readonly title: string;
                readonly version: string;
                readonly sha256: string;
                readonly url: string | null;
            };
            readonly action_count: number;
            readonly created_by: string;
            /** Format: date-time */
            readonly created_at: string;
            readonly updated_by: string;
            /** Format: date-time */
            readonly updated_at: string;
            readonly etag: string;
            readonly actions: readonly {
                readonly name: string;
                readonly title: string;
                readonly effect: "read" | "idempotent" | "unsafe";
                readonly method: string;
                readonly path: string;
            }[];
            /** @description Of the document: those that are actions, and those that are skipped. */
            readonly operations: number;
            /** @description Operations that are no actions: where each stands in the document, and why. */
            readonly skipped: readonly {
                readonly pointer: string;
                readonly reason: string;
            }[];
            readonly servers: readonly {
                readonly url: string;
                readonly problem: string | null;
            }[];
            readonly warnings: readonly string[];
            /** @description Against the revision before; null for the first. */
            readonly diff: {
                readonly added: readonly string[];
                /** @description What was sent before is still taken. */
                readonly changed: readonly string[];
                /** @description Something that was sent before is refused now, or means something else. */
                readonly breaking: readonly {
                    readonly name: string;
                    readonly reasons: readonly string[];
                }[];
                /** @description Still there for who names an older revision. */
                readonly removed: readonly string[];
            } | null;
            /** @description Newest first. */
            readonly revisions: readonly {
                readonly revision: number;
                readonly sha256: string;
                readonly action_count: number;
                readonly created_by: string;
                /** Format: date-time */
                readonly created_at: string;
                readonly changes: {
                    readonly added: number;
                    readonly changed: number;
                    readonly breaking: number;
                    readonly removed: number;
                } | null;
            }[];
        };
    };
    responses: never;
    parameters: never;
    requestBodies: never;
    headers: never;
    pathItems: never;
}
export interface operations {
    readonly listIntegrations: {
        readonly parameters: {
            readonly query?: never;
            readonly header?: never;
            readonly path?: never;
            readonly cookie?: never;
        };
        readonly requestBody?: never;
        readonly responses: {
            /** @description Done. */
            readonly 200: {
                headers: {
                    readonly [name: string]: unknown;
                };
                content: {
                    readonly "application/json": {
                        readonly integrations: readonly {
                            readonly id: string;
                            readonly name: string;
                            readonly category: string;
                            readonly docs: string | null;
                            readonly environments: readonly ("sandbox" | "live")[];
                            /**
                             * @description What tells sandbox from live: the credential (`key`), the `host`, or `none`: then what sandbox runs do, they do in a real account. Say so before a sandbox credential is entered.
                             */
                            readonly separation: "key" | "host" | "none";
                            readonly auth: readonly {
                                readonly id: string;
                                readonly label: string;
                                /**
                                 * @description Whether a person pastes the credential or links the account in a browser.
                                 */
                                readonly kind: "pasted" | "oauth2";
                                /** @description OAuth scopes asked for unless the app says otherwise. */
                                readonly scopes?: readonly string[];
                                /** @description Where a person finds the credential. */
                                readonly find?: string;
                                /** @description JSON Schema (2020-12). */
                                readonly credentials: {
                                    readonly [key: string]: unknown;
                                };
                                /** @description JSON Schema (2020-12). */
                                readonly config: {
                                    readonly [key: string]: unknown;
                                };
                            }[];
                            readonly actions: readonly {
                                readonly name: string;
                                readonly title: string;
                                readonly effect: "read" | "idempotent" | "unsafe";
                            }[];
                        }[];
                    };
                };
            };
        };
    };
    readonly getIntegration: {
        readonly parameters: {
            readonly query?: never;
            readonly header?: never;
            readonly path: {
                readonly integration: string;
            };
            readonly cookie?: never;
        };
        readonly requestBody?: never;
        readonly responses: {
            /** @description Done. */
            readonly 200: {
                headers: {
                    readonly [name: string]: unknown;
                };
                content: {
                    readonly "application/json": {
                        readonly id: string;
                        readonly name: string;
                        readonly category: string;
                        readonly docs: string | null;
                        readonly environments: readonly ("sandbox" | "live")[];
                        /**
                         * @description What tells sandbox from live: the credential (`key`), the `host`, or `none`: then what sandbox runs do, they do in a real account. Say so before a sandbox credential is entered.
                         */
                        readonly separation: "key" | "host" | "none";
                        readonly auth: readonly {
                            readonly id: string;
                            readonly label: string;
                            /**
                             * @description Whether a person pastes the credential or links the account in a browser.
                             */
                            readonly kind: "pasted" | "oauth2";
                            /** @description OAuth scopes asked for unless the app says otherwise. */
                            readonly scopes?: readonly string[];
                            /** @description Where a person finds the credential. */
                            readonly find?: string;
                            /** @description JSON Schema (2020-12). */
                            readonly credentials: {
                                readonly [key: string]: unknown;
                            };
                            /** @description JSON Schema (2020-12). */
                            readonly config: {
                                readonly [key: string]: unknown;
                            };
                        }[];
                        /** @description Of an imported one each `input` stands without its `$defs`: `GET /v1/integrations/{id}/actions/{action}` has them. */
                        readonly actions: readonly {
                            readonly name: string;
                            readonly title: string;
                            readonly help?: string;
                            readonly effect: "read" | "idempotent" | "unsafe";
                            readonly method: string;
                            readonly path: string;
                            /** @description OAuth scopes it needs. */
                            readonly scopes: readonly string[];
                            /** @description Where the output holds a credential. One with a `field` can be stored as a new connection: `store_as`. */
                            readonly secret_outputs: readonly {
                                readonly pointer: string;
                                readonly field: string | null;
                            }[];
                            /** @description JSON Schema (2020-12). */
                            readonly input: {
                                readonly [key: string]: unknown;
                            };
                        }[];
                    };
                };
            };
        };
    };
    readonly getAction: {
        readonly parameters: {
            readonly query?: never;
            readonly header?: never;
            readonly path: {
                readonly integration: string;
                readonly action: string;
            };
            readonly cookie?: never;
        };
        readonly requestBody?: never;
        readonly responses: {
            /** @description Done. */
            readonly 200: {
                headers: {
                    readonly [name: string]: unknown;
                };
                content: {
                    readonly "application/json": {
                        readonly name: string;
                        readonly title: string;
                        readonly help?: string;
                        readonly effect: "read" | "idempotent" | "unsafe";
                        readonly method: string;
                        readonly path: string;
                        /** @description OAuth scopes it needs. */
                        readonly scopes: readonly string[];
                        /** @description Where the output holds a credential. One with a `field` can be stored as a new connection: `store_as`. */
                        readonly secret_outputs: readonly {
                            readonly pointer: string;
                            readonly field: string | null;
                        }[];
                        /** @description JSON Schema (2020-12). */
                        readonly input: {
                            readonly [key: string]: unknown;
                        };
                    };
                };
            };
        };
    };
    readonly listConnections: {
        readonly parameters: {
            readonly query?: {
                readonly environment?: "sandbox" | "live";
                readonly integration?: string;
                readonly status?: "pending" | "active" | "needs_reauth" | "disabled" | "error";
                /** @description `name` or `name=value`. */
                readonly label?: string;
                /** @description Part of the name, without regard to case. */
                readonly q?: string;
                /** @description `next_cursor` of the page before. */
                readonly cursor?: string;
                readonly limit?: number;
            };
            readonly header?: never;
            readonly path: {
                /** @description The host product’s id of the tenant, compared exactly. */
                readonly workspace_id: string;
            };
            readonly cookie?: never;
        };
        readonly requestBody?: never;
        readonly responses: {
            /** @description Done. */
            readonly 200: {
                headers: {
                    readonly [name: string]: unknown;
                };
                content: {
                    readonly "application/json": {
                        readonly connections: readonly components["schemas"]["Connection"][];
                        /** @description Send as `cursor` for the next page; null on the last. */
                        readonly next_cursor: string | null;
                    };
                };
            };
        };
    };
    readonly createConnection: {
        readonly parameters: {
            readonly query?: never;
            readonly header?: {
                /** @description Repeats of a request with the same key within 24 hours make nothing new. */
                readonly "idempotency-key"?: string;
            };
            readonly path: {
                /** @description The host product’s id of the tenant, compared exactly. */
                readonly workspace_id: string;
            };
            readonly cookie?: never;
        };
        readonly requestBody: {
            readonly content: {
                readonly "application/json": {
                    readonly integration: string;
                    readonly environment: "sandbox" | "live";
                    /** @description Unique in workspace and environment, without regard to case. */
                    readonly name: string;
                    /** @description Auth scheme; needed only where the integration has several. */
                    readonly auth?: string;
                    readonly config?: {
                        readonly [key: string]: string;
                    };
                    readonly credentials: {
                        readonly [key: string]: string;
                    };
                    /**
                     * Format: date
                     * @description The credential’s last day: today, wherever that is, or later.
                     */
                    readonly expires_on?: string;
                    /** @description Names of 1 to 64 letters, digits or . _ / -, each with a text. */
                    readonly labels?: {
                        readonly [key: string]: string;
                    };
                    readonly allowed_actions?: readonly string[];
                    readonly allowed_hosts?: readonly string[];
                };
            };
        };
        readonly responses: {
            /** @description Created. */
            readonly 201: {
                headers: {
                    readonly [name: string]: unknown;
                };
                content: {
                    readonly "application/json": components["schemas"]["Connection"];
                };
            };
        };
    };
    readonly getConnection: {
        readonly parameters: {
            readonly query?: never;
            readonly header?: never;
            readonly path: {
                /** @description The host product’s id of the tenant, compared exactly. */
                readonly workspace_id: string;
                readonly connection_id: string;
            };
            readonly cookie?: never;
        };
        readonly requestBody?: never;
        readonly responses: {
            /** @description Done. */
            readonly 200: {
                headers: {
                    readonly [name: string]: unknown;
                };
                content: {
                    readonly "application/json": components["schemas"]["Connection"];
                };
            };
        };
    };
    readonly deleteConnection: {
        readonly parameters: {
            readonly query?: {
                /** @description Delete although procedures use it. */
                readonly force?: boolean;
            };
            readonly header?: {
                /** @description Go on only if it still has this ETag. */
                readonly "if-match"?: string;
            };
            readonly path: {
                /** @description The host product’s id of the tenant, compared exactly. */
                readonly workspace_id: string;
                readonly connection_id: string;
            };
            readonly cookie?: never;
        };
        readonly requestBody?: never;
        readonly responses: {
            /** @description Deleted. */
            readonly 204: {
                headers: {
                    readonly [name: string]: unknown;
                };
                content?: never;
            };
        };
    };
    readonly updateConnection: {
        readonly parameters: {
            readonly query?: never;
            readonly header?: {
                /** @description ETag of the connection as it was read, with its quotes, or `*`. Required. */
                readonly "if-match"?: string;
            };
            readonly path: {
                /** @description The host product’s id of the tenant, compared exactly. */
                readonly workspace_id: string;
                readonly connection_id: string;
            };
            readonly cookie?: never;
        };
        readonly requestBody: {
            readonly content: {
                readonly "application/json": {
                    /** @description Unique in workspace and environment, without regard to case. */
                    readonly name?: string;
                    /** @description Names of 1 to 64 letters, digits or . _ / -, each with a text. */
                    readonly labels?: {
                        readonly [key: string]: string;
                    };
                    readonly config?: {
                        readonly [key: string]: string;
                    };
                    readonly expires_on?: string | null;
                    readonly allowed_actions?: readonly string[] | null;
                    readonly allowed_hosts?: readonly string[] | null;
                };
            };
        };
        readonly responses: {
            /** @description Done. */
            readonly 200: {
                headers: {
                    readonly [name: string]: unknown;
                };
                content: {
                    readonly "application/json": components["schemas"]["Connection"];
                };
            };
        };
    };
    readonly disableConnection: {
        readonly parameters: {
            readonly query?: never;
            readonly header?: never;
            readonly path: {
                /** @description The host product’s id of the tenant, compared exactly. */
                readonly workspace_id: string;
                readonly connection_id: string;
            };
            readonly cookie?: never;
        };
        readonly requestBody?: never;
        readonly responses: {
            /** @description Done. */
            readonly 200: {
                headers: {
                    readonly [name: string]: unknown;
                };
                content: {
                    readonly "application/json": components["schemas"]["Connection"];
                };
            };
        };
    };
    readonly enableConnection: {
        readonly parameters: {
            readonly query?: never;
            readonly header?: never;
            readonly path: {
                /** @description The host product’s id of the tenant, compared exactly. */
                readonly workspace_id: string;
                readonly connection_id: string;
            };
            readonly cookie?: never;
        };
        readonly requestBody?: never;
        readonly responses: {
            /** @description Done. */
            readonly 200: {
                headers: {
                    readonly [name: string]: unknown;
                };
                content: {
                    readonly "application/json": components["schemas"]["Connection"];
                };
            };
        };
    };
    readonly rotateConnection: {
        readonly parameters: {
            readonly query?: never;
            readonly header?: {
                /** @description Go on only if it still has this ETag. */
                readonly "if-match"?: string;
                /** @description Repeats of a request with the same key within 24 hours make nothing new. */
                readonly "idempotency-key"?: string;
            };
            readonly path: {
                /** @description The host product’s id of the tenant, compared exactly. */
                readonly workspace_id: string;
                readonly connection_id: string;
            };
            readonly cookie?: never;
        };
        readonly requestBody: {
            readonly content: {
                readonly "application/json": {
                    readonly credentials: {
                        readonly [key: string]: string;
                    };
                    readonly config?: {
                        readonly [key: string]: string;
                    };
                    /**
                     * Format: date
                     * @description The credential’s last day: today, wherever that is, or later.
                     */
                    readonly expires_on?: string;
                    /**
                     * @description Ask the provider first; a refused credential changes nothing, and `warnings` say where there is nothing to ask. Unless asked to, a rotation does not test, and `account` is null until a test shows it.
                     * @default false
                     */
                    readonly test?: boolean;
                    /**
                     * @description How long the replaced version can be rolled back to before it is destroyed.
                     * @default 86400
                     */
                    readonly grace_seconds?: number;
                    readonly allowed_hosts?: readonly string[];
                };
            };
        };
        readonly responses: {
            /** @description Done. */
            readonly 200: {
                headers: {
                    readonly [name: string]: unknown;
                };
                content: {
                    readonly "application/json": components["schemas"]["Connection"];
                };
            };
        };
    };
    readonly rollbackConnection: {
        readonly parameters: {
            readonly query?: never;
            readonly header?: never;
            readonly path: {
                /** @description The host product’s id of the tenant, compared exactly. */
                readonly workspace_id: string;
                readonly connection_id: string;
            };
            readonly cookie?: never;
        };
        readonly requestBody?: never;
        readonly responses: {
            /** @description Done. */
            readonly 200: {
                headers: {
                    readonly [name: string]: unknown;
                };
                content: {
                    readonly "application/json": components["schemas"]["Connection"];
                };
            };
        };
    };
    readonly listVersions: {
        readonly parameters: {
            readonly query?: never;
            readonly header?: never;
            readonly path: {
                /** @description The host product’s id of the tenant, compared exactly. */
                readonly workspace_id: string;
                readonly connection_id: string;
            };
            readonly cookie?: never;
        };
        readonly requestBody?: never;
        readonly responses: {
            /** @description Done. */
            readonly 200: {
                headers: {
                    readonly [name: string]: unknown;
                };
                content: {
                    readonly "application/json": {
                        readonly versions: readonly {
                            readonly id: string;
                            readonly number: number;
                            readonly state: "current" | "previous" | "destroyed";
                            readonly preview: {
                                readonly [key: string]: string;
                            };
                            readonly hosts: readonly string[];
                            readonly created_by: string;
                            /** Format: date-time */
                            readonly created_at: string;
                            /** Format: date-time */
                            readonly grace_until: string | null;
                            /** Format: date-time */
                            readonly destroyed_at: string | null;
                        }[];
                    };
                };
            };
        };
    };
    readonly testConnection: {
        readonly parameters: {
            readonly query?: never;
            readonly header?: never;
            readonly path: {
                /** @description The host product’s id of the tenant, compared exactly. */
                readonly workspace_id: string;
                readonly connection_id: string;
            };
            readonly cookie?: never;
        };
        readonly requestBody?: never;
        readonly responses: {
            /** @description Done. */
            readonly 200: {
                headers: {
                    readonly [name: string]: unknown;
                };
                content: {
                    readonly "application/json": {
                        /**
                         * @description `limited`: valid, but not allowed this request. `unreachable` says nothing about the credential.
                         */
                        readonly result: "ok" | "auth_failed" | "limited" | "unreachable";
                        readonly detail: string;
                        /** @description HTTP status of the provider. */
                        readonly status: number | null;
                        /** @description The upstream account, once a test has shown it. */
                        readonly account: {
                            readonly id?: string;
                            readonly label?: string | null;
                        } | null;
                        readonly duration_ms: number;
                        /** @description As of a connection that is created. */
                        readonly warnings: readonly string[];
                    };
                };
            };
        };
    };
    readonly refreshConnection: {
        readonly parameters: {
            readonly query?: never;
            readonly header?: never;
            readonly path: {
                /** @description The host product’s id of the tenant, compared exactly. */
                readonly workspace_id: string;
                readonly connection_id: string;
            };
            readonly cookie?: never;
        };
        readonly requestBody?: never;
        readonly responses: {
            /** @description Done. */
            readonly 200: {
                headers: {
                    readonly [name: string]: unknown;
                };
                content: {
                    readonly "application/json": components["schemas"]["Connection"];
                };
            };
        };
    };
    readonly getUsage: {
        readonly parameters: {
            readonly query?: never;
            readonly header?: never;
            readonly path: {
                /** @description The host product’s id of the tenant, compared exactly. */
                readonly workspace_id: string;
                readonly connection_id: string;
            };
            readonly cookie?: never;
        };
        readonly requestBody?: never;
        readonly responses: {
            /** @description What the dashboard registered, and what was seen. Seen uses appear within seconds. */
            readonly 200: {
                headers: {
                    readonly [name: string]: unknown;
                };
                content: {
                    readonly "application/json": {
                        readonly references: readonly {
                            readonly procedure_id: string;
                            readonly step_id: string;
                            readonly label: string | null;
                            /** Format: date-time */
                            readonly registered_at: string;
                        }[];
                        readonly uses: readonly {
                            /** @description Empty where the caller did not say. */
                            readonly procedure_id: string;
                            readonly step_id: string;
                            readonly uses: number;
                            /** Format: date-time */
                            readonly first_used_at: string;
                            /** Format: date-time */
                            readonly last_used_at: string;
                        }[];
                    };
                };
            };
        };
    };
    readonly setReferences: {
        readonly parameters: {
            readonly query?: never;
            readonly header?: never;
            readonly path: {
                /** @description The host product’s id of the tenant, compared exactly. */
                readonly workspace_id: string;
                readonly connection_id: string;
            };
            readonly cookie?: never;
        };
        readonly requestBody: {
            readonly content: {
                readonly "application/json": {
                    readonly references: readonly {
                        readonly procedure_id: string;
                        readonly step_id?: string;
                        readonly label?: string;
                    }[];
                };
            };
        };
        readonly responses: {
            /** @description What the dashboard registered, and what was seen. Seen uses appear within seconds. */
            readonly 200: {
                headers: {
                    readonly [name: string]: unknown;
                };
                content: {
                    readonly "application/json": {
                        readonly references: readonly {
                            readonly procedure_id: string;
                            readonly step_id: string;
                            readonly label: string | null;
                            /** Format: date-time */
                            readonly registered_at: string;
                        }[];
                        readonly uses: readonly {
                            /** @description Empty where the caller did not say. */
                            readonly procedure_id: string;
                            readonly step_id: string;
                            readonly uses: number;
                            /** Format: date-time */
                            readonly first_used_at: string;
                            /** Format: date-time */
                            readonly last_used_at: string;
                        }[];
                    };
                };
            };
        };
    };
    readonly resolveConnection: {
        readonly parameters: {
            readonly query?: never;
            readonly header?: never;
            readonly path: {
                /** @description The host product’s id of the tenant, compared exactly. */
                readonly workspace_id: string;
                readonly connection_id: string;
            };
            readonly cookie?: never;
        };
        readonly requestBody: {
            readonly content: {
                readonly "application/json": {
                    readonly environment: "sandbox" | "live";
                    readonly context?: {
                        readonly procedure_id?: string;
                        readonly run_id?: string;
                        readonly step_id?: string;
                    };
                    /** @description Wanted lifetime; `freshness` says whether it is met. */
                    readonly min_ttl_seconds?: number;
                    /** @description A version that the provider refused with 401. After repeated refusals the vault tests it itself. */
                    readonly rejected_version?: string;
                };
            };
        };
        readonly responses: {
            /** @description Done. */
            readonly 200: {
                headers: {
                    readonly [name: string]: unknown;
                };
                content: {
                    readonly "application/json": components["schemas"]["ResolvedCredential"];
                };
            };
        };
    };
    readonly resolveConnections: {
        readonly parameters: {
            readonly query?: never;
            readonly header?: never;
            readonly path: {
                /** @description The host product’s id of the tenant, compared exactly. */
                readonly workspace_id: string;
            };
            readonly cookie?: never;
        };
        readonly requestBody: {
            readonly content: {
                readonly "application/json": {
                    readonly environment: "sandbox" | "live";
                    readonly connection_ids: readonly string[];
                    readonly context?: {
                        readonly procedure_id?: string;
                        readonly run_id?: string;
                        readonly step_id?: string;
                    };
                    readonly min_ttl_seconds?: number;
                };
            };
        };
        readonly responses: {
            /** @description Done. */
            readonly 200: {
                headers: {
                    readonly [name: string]: unknown;
                };
                content: {
                    readonly "application/json": {
                        readonly results: readonly {
                            readonly connection_id: string;
                            readonly credential?: components["schemas"]["ResolvedCredential"];
                            readonly problem?: components["schemas"]["Problem"];
                        }[];
                    };
                };
            };
        };
    };
    readonly invokeAction: {
        readonly parameters: {
            readonly query?: never;
            readonly header?: {
                /** @description Under one key a call is made once in 24 hours; a repeat waits for it and gets its answer, with `replayed`. An answer that turned the call away (a credential refused, too many requests) leaves the key free. Passed on to providers that take such keys. */
                readonly "idempotency-key"?: string;
            };
            readonly path: {
                /** @description The host product’s id of the tenant, compared exactly. */
                readonly workspace_id: string;
                readonly connection_id: string;
            };
            readonly cookie?: never;
        };
        readonly requestBody: {
            readonly content: {
                readonly "application/json": {
                    readonly environment: "sandbox" | "live";
                    readonly action: string;
                    /** @description Of a Custom API: the one the procedure was built with. The newest when left out. */
                    readonly revision?: number;
                    /** @description `{path, query, header, body}`, or flat where no name is in two places. */
                    readonly input?: {
                        readonly [key: string]: unknown;
                    };
                    /** @description Build and check everything, send nothing; the credential is shown as `[credential]`. */
                    readonly dry_run?: boolean;
                    /**
                     * @description Deadline for the whole call, in milliseconds: at most 120,000, or with `mode: async` how long it may run, at most an hour.
                     * @default 30000
                     */
                    readonly timeout_ms?: number;
                    /**
                     * @description `async`: answer 202 at once, with where to ask for the result. For private connections.
                     * @default sync
                     */
                    readonly mode?: "sync" | "async";
                    /** @description How long the call may wait for an agent; without it, it is refused when none is there. For private connections. */
                    readonly queue_seconds?: number;
                    /** @description Instead of `input`: one that the vault can’t read. For private connections. */
                    readonly encrypted_input?: {
                        /** @description JWE in general JSON serialisation (RFC 7516, 7.2.1), one recipient for each agent. */
                        readonly jwe: {
                            readonly [key: string]: unknown;
                        };
                        /** @description The caller’s own SHA-256 of what it means, in base64url: under one idempotency key it stands for the input. */
                        readonly digest: string;
                    };
                    readonly context?: {
                        readonly procedure_id?: string;
                        readonly run_id?: string;
                        readonly step_id?: string;
                    };
                    /** @description For actions whose output holds a credential (`secret_outputs`): keep it as a connection of this name, with the fields, config and limits of this one, instead of answering it. Needs the scope connections:write too. */
                    readonly store_as?: {
                        /** @description Unique in workspace and environment, without regard to case. */
                        readonly name: string;
                        /** @description Names of 1 to 64 letters, digits or . _ / -, each with a text. */
                        readonly labels?: {
                            readonly [key: string]: string;
                        };
                    };
                };
            };
        };
        readonly responses: {
            /** @description Done. */
            readonly 200: {
                headers: {
                    readonly [name: string]: unknown;
                };
                content: {
                    readonly "application/json": components["schemas"]["InvokeResponse"];
                };
            };
            /** @description Done. */
            readonly 202: {
                headers: {
                    readonly [name: string]: unknown;
                };
                content: {
                    readonly "application/json": {
                        readonly invocation_id: string;
                        /** @enum {string} */
                        readonly state: "queued";
                        readonly status_url: string;
                        readonly replayed: boolean;
                    };
                };
            };
        };
    };
    readonly sendRequest: {
        readonly parameters: {
            readonly query?: never;
            readonly header?: {
                /** @description Under one key a call is made once in 24 hours; a repeat waits for it and gets its answer, with `replayed`. An answer that turned the call away (a credential refused, too many requests) leaves the key free. Passed on to providers that take such keys. */
                readonly "idempotency-key"?: string;
            };
            readonly path: {
                /** @description The host product’s id of the tenant, compared exactly. */
                readonly workspace_id: string;
                readonly connection_id: string;
            };
            readonly cookie?: never;
        };
        readonly requestBody: {
            readonly content: {
                readonly "application/json": {
                    readonly environment: "sandbox" | "live";
                    readonly method: "GET" | "HEAD" | "POST" | "PUT" | "PATCH" | "DELETE";
                    /** @description Another of the connection’s hosts; the path then begins at its root. */
                    readonly host?: string;
                    /** @description Below the integration’s server, percent-encoded, without a query. */
                    readonly path: string;
                    readonly query?: {
                        readonly [key: string]: unknown;
                    };
                    readonly headers?: {
                        readonly [key: string]: string;
                    };
                    readonly body?: unknown;
                    /**
                     * @description How the body is written, the provider’s own way when left out. In multipart, a member `{base64, filename?, content_type?}` is a file.
                     */
                    readonly encoding?: "json" | "form" | "form_plain" | "multipart";
                    /** @description Build and check everything, send nothing; the credential is shown as `[credential]`. */
                    readonly dry_run?: boolean;
                    /**
                     * @description Deadline for the whole call, in milliseconds.
                     * @default 30000
                     */
                    readonly timeout_ms?: number;
                    readonly context?: {
                        readonly procedure_id?: string;
                        readonly run_id?: string;
                        readonly step_id?: string;
                    };
                };
            };
        };
        readonly responses: {
            /** @description Done. */
            readonly 200: {
                headers: {
                    readonly [name: string]: unknown;
                };
                content: {
                    readonly "application/json": components["schemas"]["InvokeResponse"];
                };
            };
        };
    };
    readonly getInvocation: {
        readonly parameters: {
            readonly query?: never;
            readonly header?: never;
            readonly path: {
                /** @description The host product’s id of the tenant, compared exactly. */
                readonly workspace_id: string;
                readonly invocation_id: string;
            };
            readonly cookie?: never;
        };
        readonly requestBody?: never;
        readonly responses: {
            /** @description Done. */
            readonly 200: {
                headers: {
                    readonly [name: string]: unknown;
                };
                content: {
                    readonly "application/json": {
                        readonly invocation_id: string;
                        readonly connection_id: string;
                        readonly environment: "sandbox" | "live";
                        readonly action: string;
                        /**
                         * @description `queued`: no agent has it.
                         */
                        readonly state: "queued" | "running" | "ended";
                        readonly cancel_requested: boolean;
                        /** Format: date-time */
                        readonly created_at: string;
                        /** Format: date-time */
                        readonly ended_at: string | null;
                        readonly result: {
                            readonly invocation_id: string;
                            readonly outcome: "succeeded" | "failed";
                            /** @description Null for private connections: their agents make calls of their own. */
                            readonly provider: {
                                readonly status: number;
                                readonly headers: {
                                    readonly [key: string]: string;
                                };
                                readonly request_id: string | null;
                            } | null;
                            /** @description Parsed JSON, a text, `{content_type, base64}` for other bytes, or null. Every occurrence of the credential is replaced. */
                            readonly output: unknown;
                            readonly error?: {
                                readonly class: "reauthorise" | "config_error" | "permission" | "step_up" | "input" | "conflict" | "not_found" | "rate_limited" | "provider_unavailable" | "action_failed";
                                readonly message: string;
                            };
                            readonly attempts: number;
                            readonly duration_ms: number;
                            /** @description An earlier call with the same idempotency key came to this; nothing was sent now. */
                            readonly replayed: boolean;
                            readonly agent_id?: string;
                            /** @description What `store_as` has made. In the output `[stored]` stands for the credential. */
                            readonly stored?: {
                                readonly connection_id: string;
                                readonly name: string;
                            };
                            /** @description Why `store_as` has made nothing; the credential is in the output, so that it is not lost. */
                            readonly store_error?: {
                                readonly code: string;
                                readonly message: string;
                            };
                        } | null;
                        /** @description Why it has ended without a result; a result that comes late takes its place. */
                        readonly problem: {
                            readonly code: string;
                            readonly detail: string;
                        } | null;
                    };
                };
            };
        };
    };
    readonly cancelInvocation: {
        readonly parameters: {
            readonly query?: never;
            readonly header?: never;
            readonly path: {
                /** @description The host product’s id of the tenant, compared exactly. */
                readonly workspace_id: string;
                readonly invocation_id: string;
            };
            readonly cookie?: never;
        };
        readonly requestBody?: never;
        readonly responses: {
            /** @description Done. */
            readonly 200: {
                headers: {
                    readonly [name: string]: unknown;
                };
                content: {
                    readonly "application/json": {
                        readonly invocation_id: string;
                        readonly connection_id: string;
                        readonly environment: "sandbox" | "live";
                        readonly action: string;
                        /**
                         * @description `queued`: no agent has it.
                         */
                        readonly state: "queued" | "running" | "ended";
                        readonly cancel_requested: boolean;
                        /** Format: date-time */
                        readonly created_at: string;
                        /** Format: date-time */
                        readonly ended_at: string | null;
                        readonly result: {
                            readonly invocation_id: string;
                            readonly outcome: "succeeded" | "failed";
                            /** @description Null for private connections: their agents make calls of their own. */
                            readonly provider: {
                                readonly status: number;
                                readonly headers: {
                                    readonly [key: string]: string;
                                };
                                readonly request_id: string | null;
                            } | null;
                            /** @description Parsed JSON, a text, `{content_type, base64}` for other bytes, or null. Every occurrence of the credential is replaced. */
                            readonly output: unknown;
                            readonly error?: {
                                readonly class: "reauthorise" | "config_error" | "permission" | "step_up" | "input" | "conflict" | "not_found" | "rate_limited" | "provider_unavailable" | "action_failed";
                                readonly message: string;
                            };
                            readonly attempts: number;
                            readonly duration_ms: number;
                            /** @description An earlier call with the same idempotency key came to this; nothing was sent now. */
                            readonly replayed: boolean;
                            readonly agent_id?: string;
                            /** @description What `store_as` has made. In the output `[stored]` stands for the credential. */
                            readonly stored?: {
                                readonly connection_id: string;
                                readonly name: string;
                            };
                            /** @description Why `store_as` has made nothing; the credential is in the output, so that it is not lost. */
                            readonly store_error?: {
                                readonly code: string;
                                readonly message: string;
                            };
                        } | null;
                        /** @description Why it has ended without a result; a result that comes late takes its place. */
                        readonly problem: {
                            readonly code: string;
                            readonly detail: string;
                        } | null;
                    };
                };
            };
        };
    };
    readonly createConnectSession: {
        readonly parameters: {
            readonly query?: never;
            readonly header?: {
                /** @description Repeats of a request with the same key within 24 hours make nothing new. */
                readonly "idempotency-key"?: string;
            };
            readonly path: {
                /** @description The host product’s id of the tenant, compared exactly. */
                readonly workspace_id: string;
            };
            readonly cookie?: never;
        };
        /** @description One of integration, integrations and connection_id; a name unless it is a reconnect. */
        readonly requestBody: {
            readonly content: {
                readonly "application/json": {
                    readonly environment: "sandbox" | "live";
                    readonly integration?: string;
                    /** @description Several to choose from; instead of `integration`. */
                    readonly integrations?: readonly string[];
                    /** @description Link this connection anew, in place. */
                    readonly connection_id?: string;
                    /** @description Unique in workspace and environment, without regard to case. */
                    readonly name?: string;
                    /** @description Names of 1 to 64 letters, digits or . _ / -, each with a text. */
                    readonly labels?: {
                        readonly [key: string]: string;
                    };
                    /** @description The person, as the host product knows them. */
                    readonly actor: string;
                    /** @description Where the browser goes with the completion code. Its origin is one of RETURN_ORIGINS. */
                    readonly return_url?: string;
                    /**
                     * @description At a reconnect: whether another upstream account may take the place of the one before.
                     * @default false
                     */
                    readonly allow_account_change?: boolean;
                    /**
                     * @description `none`, in sandbox only: whoever opens the link makes the connection.
                     * @default required
                     */
                    readonly confirmation?: "required" | "none";
                };
            };
        };
        readonly responses: {
            /** @description Created. */
            readonly 201: {
                headers: {
                    readonly [name: string]: unknown;
                };
                content: {
                    readonly "application/json": {
                        readonly connect_session: components["schemas"]["ConnectSession"];
                        /** @description For the person’s browser, within 15 minutes. Shown this once: a replay of the same request does not have it. */
                        readonly connect_url?: string;
                    };
                };
            };
        };
    };
    readonly getConnectSession: {
        readonly parameters: {
            readonly query?: never;
            readonly header?: never;
            readonly path: {
                /** @description The host product’s id of the tenant, compared exactly. */
                readonly workspace_id: string;
                readonly session_id: string;
            };
            readonly cookie?: never;
        };
        readonly requestBody?: never;
        readonly responses: {
            /** @description Done. */
            readonly 200: {
                headers: {
                    readonly [name: string]: unknown;
                };
                content: {
                    readonly "application/json": components["schemas"]["ConnectSession"];
                };
            };
        };
    };
    readonly completeConnectSession: {
        readonly parameters: {
            readonly query?: never;
            readonly header?: {
                /** @description Repeats of a request with the same key within 24 hours make nothing new. */
                readonly "idempotency-key"?: string;
            };
            readonly path: {
                /** @description The host product’s id of the tenant, compared exactly. */
                readonly workspace_id: string;
                readonly session_id: string;
            };
            readonly cookie?: never;
        };
        readonly requestBody: {
            readonly content: {
                readonly "application/json": {
                    /** @description From the return URL. */
                    readonly completion_code: string;
                    /** @description Who is logged in at the host in the browser that came back. Anybody but the session’s own actor, and what was linked is destroyed. */
                    readonly actor: string;
                    /** @description Unique in workspace and environment, without regard to case. */
                    readonly name?: string;
                };
            };
        };
        readonly responses: {
            /** @description Done. */
            readonly 200: {
                headers: {
                    readonly [name: string]: unknown;
                };
                content: {
                    readonly "application/json": components["schemas"]["Connection"];
                };
            };
        };
    };
    readonly listOAuthApps: {
        readonly parameters: {
            readonly query?: never;
            readonly header?: never;
            readonly path?: never;
            readonly cookie?: never;
        };
        readonly requestBody?: never;
        readonly responses: {
            /** @description Done. */
            readonly 200: {
                headers: {
                    readonly [name: string]: unknown;
                };
                content: {
                    readonly "application/json": {
                        readonly oauth_apps: readonly components["schemas"]["OAuthApp"][];
                    };
                };
            };
        };
    };
    readonly getOAuthApp: {
        readonly parameters: {
            readonly query?: never;
            readonly header?: never;
            readonly path: {
                readonly integration: string;
                readonly environment: "sandbox" | "live";
            };
            readonly cookie?: never;
        };
        readonly requestBody?: never;
        readonly responses: {
            /** @description Done. */
            readonly 200: {
                headers: {
                    readonly [name: string]: unknown;
                };
                content: {
                    readonly "application/json": components["schemas"]["OAuthApp"];
                };
            };
        };
    };
    readonly putOAuthApp: {
        readonly parameters: {
            readonly query?: never;
            readonly header?: {
                /** @description Go on only if it still has this ETag. */
                readonly "if-match"?: string;
            };
            readonly path: {
                readonly integration: string;
                readonly environment: "sandbox" | "live";
            };
            readonly cookie?: never;
        };
        readonly requestBody: {
            readonly content: {
                readonly "application/json": {
                    readonly client_id: string;
                    /** @description Never shown again. Left out, the one there is stays; so it does, with the one before, when it is the same. */
                    readonly client_secret?: string;
                    /** @description What to ask for, by auth scheme; a scheme that is not named asks for the integration’s defaults, and `{}` goes back to them all. Left out, what was asked for stays. */
                    readonly scopes?: {
                        readonly [key: string]: readonly string[];
                    };
                    /**
                     * @description How long the secret before stays valid beside a new one, as long as the client id is the same.
                     * @default 86400
                     */
                    readonly overlap_seconds?: number;
                };
            };
        };
        readonly responses: {
            /** @description Done. */
            readonly 200: {
                headers: {
                    readonly [name: string]: unknown;
                };
                content: {
                    readonly "application/json": components["schemas"]["OAuthApp"];
                };
            };
            /** @description Created. */
            readonly 201: {
                headers: {
                    readonly [name: string]: unknown;
                };
                content: {
                    readonly "application/json": components["schemas"]["OAuthApp"];
                };
            };
        };
    };
    readonly deleteOAuthApp: {
        readonly parameters: {
            readonly query?: {
                /** @description Delete although connections were linked through it. */
                readonly force?: boolean;
            };
            readonly header?: {
                /** @description Go on only if it still has this ETag. */
                readonly "if-match"?: string;
            };
            readonly path: {
                readonly integration: string;
                readonly environment: "sandbox" | "live";
            };
            readonly cookie?: never;
        };
        readonly requestBody?: never;
        readonly responses: {
            /** @description Deleted. */
            readonly 204: {
                headers: {
                    readonly [name: string]: unknown;
                };
                content?: never;
            };
        };
    };
    readonly listWorkspaceOAuthApps: {
        readonly parameters: {
            readonly query?: never;
            readonly header?: never;
            readonly path: {
                /** @description The host product’s id of the tenant, compared exactly. */
                readonly workspace_id: string;
            };
            readonly cookie?: never;
        };
        readonly requestBody?: never;
        readonly responses: {
            /** @description Done. */
            readonly 200: {
                headers: {
                    readonly [name: string]: unknown;
                };
                content: {
                    readonly "application/json": {
                        readonly oauth_apps: readonly components["schemas"]["OAuthApp"][];
                    };
                };
            };
        };
    };
    readonly getWorkspaceOAuthApp: {
        readonly parameters: {
            readonly query?: never;
            readonly header?: never;
            readonly path: {
                /** @description The host product’s id of the tenant, compared exactly. */
                readonly workspace_id: string;
                readonly integration: string;
                readonly environment: "sandbox" | "live";
            };
            readonly cookie?: never;
        };
        readonly requestBody?: never;
        readonly responses: {
            /** @description Done. */
            readonly 200: {
                headers: {
                    readonly [name: string]: unknown;
                };
                content: {
                    readonly "application/json": components["schemas"]["OAuthApp"];
                };
            };
        };
    };
    readonly putWorkspaceOAuthApp: {
        readonly parameters: {
            readonly query?: never;
            readonly header?: {
                /** @description Go on only if it still has this ETag. */
                readonly "if-match"?: string;
            };
            readonly path: {
                /** @description The host product’s id of the tenant, compared exactly. */
                readonly workspace_id: string;
                readonly integration: string;
                readonly environment: "sandbox" | "live";
            };
            readonly cookie?: never;
        };
        readonly requestBody: {
            readonly content: {
                readonly "application/json": {
                    readonly client_id: string;
                    /** @description Never shown again. Left out, the one there is stays; so it does, with the one before, when it is the same. */
                    readonly client_secret?: string;
                    /** @description What to ask for, by auth scheme; a scheme that is not named asks for the integration’s defaults, and `{}` goes back to them all. Left out, what was asked for stays. */
                    readonly scopes?: {
                        readonly [key: string]: readonly string[];
                    };
                    /**
                     * @description How long the secret before stays valid beside a new one, as long as the client id is the same.
                     * @default 86400
                     */
                    readonly overlap_seconds?: number;
                };
            };
        };
        readonly responses: {
            /** @description Done. */
            readonly 200: {
                headers: {
                    readonly [name: string]: unknown;
                };
                content: {
                    readonly "application/json": components["schemas"]["OAuthApp"];
                };
            };
            /** @description Created. */
            readonly 201: {
                headers: {
                    readonly [name: string]: unknown;
                };
                content: {
                    readonly "application/json": components["schemas"]["OAuthApp"];
                };
            };
        };
    };
    readonly deleteWorkspaceOAuthApp: {
        readonly parameters: {
            readonly query?: {
                /** @description Delete although connections were linked through it. */
                readonly force?: boolean;
            };
            readonly header?: {
                /** @description Go on only if it still has this ETag. */
                readonly "if-match"?: string;
            };
            readonly path: {
                /** @description The host product’s id of the tenant, compared exactly. */
                readonly workspace_id: string;
                readonly integration: string;
                readonly environment: "sandbox" | "live";
            };
            readonly cookie?: never;
        };
        readonly requestBody?: never;
        readonly responses: {
            /** @description Deleted. */
            readonly 204: {
                headers: {
                    readonly [name: string]: unknown;
                };
                content?: never;
            };
        };
    };
    readonly listAuditEvents: {
        readonly parameters: {
            readonly query?: {
                readonly event?: string;
                readonly connection_id?: string;
                readonly from?: string;
                readonly to?: string;
                /** @description `next_cursor` of the page before. */
                readonly cursor?: string;
                readonly limit?: number;
            };
            readonly header?: never;
            readonly path: {
                /** @description The host product’s id of the tenant, compared exactly. */
                readonly workspace_id: string;
            };
            readonly cookie?: never;
        };
        readonly requestBody?: never;
        readonly responses: {
            /** @description Done. */
            readonly 200: {
                headers: {
                    readonly [name: string]: unknown;
                };
                content: {
                    readonly "application/json": {
                        readonly audit_events: readonly {
                            readonly id: string;
                            /** Format: date-time */
                            readonly occurred_at: string;
                            readonly event: string;
                            readonly outcome: "ok" | "refused" | "failed" | "unknown";
                            readonly reason: string | null;
                            readonly environment: string | null;
                            readonly connection_id: string | null;
                            readonly version_id: string | null;
                            readonly invocation_id: string | null;
                            readonly principal: {
                                readonly kind: string;
                                readonly id: string | null;
                            };
                            readonly actor: string | null;
                            readonly request_id: string | null;
                            readonly context: {
                                readonly [key: string]: unknown;
                            } | null;
                            readonly details: {
                                readonly [key: string]: unknown;
                            } | null;
                        }[];
                        /** @description Send as `cursor` for the next page; null on the last. */
                        readonly next_cursor: string | null;
                    };
                };
            };
        };
    };
    readonly verifyAudit: {
        readonly parameters: {
            readonly query?: {
                /** @description A checkpoint kept from the log. */
                readonly checkpoint?: string;
            };
            readonly header?: never;
            readonly path?: never;
            readonly cookie?: never;
        };
        readonly requestBody?: never;
        readonly responses: {
            /** @description Done. */
            readonly 200: {
                headers: {
                    readonly [name: string]: unknown;
                };
                content: {
                    readonly "application/json": {
                        readonly ok: boolean;
                        readonly links: number;
                        readonly events: number;
                        readonly findings: readonly {
                            readonly kind: string;
                            readonly at: string;
                        }[];
                    };
                };
            };
        };
    };
    readonly readEvents: {
        readonly parameters: {
            readonly query?: {
                readonly type?: "connection.created" | "connection.rotated" | "connection.needs_reauth" | "connection.recovered" | "connection.expiring" | "connection.disabled" | "connection.enabled" | "connection.deleted" | "oauth_app.broken" | "oauth_app.recovered" | "agent_group.offline" | "agent_group.online" | "webhook.disabled";
                /** @description The host product’s id of the tenant, compared exactly. */
                readonly workspace_id?: string;
                /** @description `next_cursor` of the answer before. Without it the feed begins with the oldest event kept. */
                readonly cursor?: string;
                readonly limit?: number;
            };
            readonly header?: never;
            readonly path?: never;
            readonly cookie?: never;
        };
        readonly requestBody?: never;
        readonly responses: {
            /** @description Done. */
            readonly 200: {
                headers: {
                    readonly [name: string]: unknown;
                };
                content: {
                    readonly "application/json": {
                        readonly events: readonly components["schemas"]["Event"][];
                        /** @description Where the feed has been read to. Keep it and send it with the next request, also when there was nothing new. */
                        readonly next_cursor: string;
                    };
                };
            };
        };
    };
    readonly listWebhooks: {
        readonly parameters: {
            readonly query?: never;
            readonly header?: never;
            readonly path?: never;
            readonly cookie?: never;
        };
        readonly requestBody?: never;
        readonly responses: {
            /** @description Done. */
            readonly 200: {
                headers: {
                    readonly [name: string]: unknown;
                };
                content: {
                    readonly "application/json": {
                        readonly webhooks: readonly components["schemas"]["Webhook"][];
                    };
                };
            };
        };
    };
    readonly createWebhook: {
        readonly parameters: {
            readonly query?: never;
            readonly header?: {
                /** @description Repeats of a request with the same key within 24 hours make nothing new. */
                readonly "idempotency-key"?: string;
            };
            readonly path?: never;
            readonly cookie?: never;
        };
        readonly requestBody: {
            readonly content: {
                readonly "application/json": {
                    /** @description A public https URL. Redirects are not followed. */
                    readonly url: string;
                    readonly description?: string | null;
                    /** @description Null: all of them, those of later releases included. */
                    readonly event_types?: readonly ("connection.created" | "connection.rotated" | "connection.needs_reauth" | "connection.recovered" | "connection.expiring" | "connection.disabled" | "connection.enabled" | "connection.deleted" | "oauth_app.broken" | "oauth_app.recovered" | "agent_group.offline" | "agent_group.online" | "webhook.disabled")[] | null;
                    /** @description Events of no environment go to all. */
                    readonly environments?: readonly ("sandbox" | "live")[];
                };
            };
        };
        readonly responses: {
            /** @description Created. */
            readonly 201: {
                headers: {
                    readonly [name: string]: unknown;
                };
                content: {
                    readonly "application/json": {
                        readonly webhook: components["schemas"]["Webhook"];
                        /** @description Shown this once; a replay of the same request does not have it. Base64 after `whsec_`; deliveries are signed with it by Standard Webhooks (`v1`). */
                        readonly secret?: string;
                    };
                };
            };
        };
    };
    readonly getWebhook: {
        readonly parameters: {
            readonly query?: never;
            readonly header?: never;
            readonly path: {
                readonly webhook_id: string;
            };
            readonly cookie?: never;
        };
        readonly requestBody?: never;
        readonly responses: {
            /** @description Done. */
            readonly 200: {
                headers: {
                    readonly [name: string]: unknown;
                };
                content: {
                    readonly "application/json": components["schemas"]["Webhook"];
                };
            };
        };
    };
    readonly deleteWebhook: {
        readonly parameters: {
            readonly query?: never;
            readonly header?: {
                /** @description Go on only if it still has this ETag. */
                readonly "if-match"?: string;
            };
            readonly path: {
                readonly webhook_id: string;
            };
            readonly cookie?: never;
        };
        readonly requestBody?: never;
        readonly responses: {
            /** @description Deleted. */
            readonly 204: {
                headers: {
                    readonly [name: string]: unknown;
                };
                content?: never;
            };
        };
    };
    readonly updateWebhook: {
        readonly parameters: {
            readonly query?: never;
            readonly header?: {
                /** @description Go on only if it still has this ETag. */
                readonly "if-match"?: string;
            };
            readonly path: {
                readonly webhook_id: string;
            };
            readonly cookie?: never;
        };
        readonly requestBody: {
            readonly content: {
                readonly "application/json": {
                    /** @description A public https URL. Redirects are not followed. */
                    readonly url?: string;
                    readonly description?: string | null;
                    /** @description Null: all of them, those of later releases included. */
                    readonly event_types?: readonly ("connection.created" | "connection.rotated" | "connection.needs_reauth" | "connection.recovered" | "connection.expiring" | "connection.disabled" | "connection.enabled" | "connection.deleted" | "oauth_app.broken" | "oauth_app.recovered" | "agent_group.offline" | "agent_group.online" | "webhook.disabled")[] | null;
                    /** @description Events of no environment go to all. */
                    readonly environments?: readonly ("sandbox" | "live")[];
                    /** @description Enabling sends what is still pending; what has failed or was never queued is had by `replay`. */
                    readonly enabled?: boolean;
                };
            };
        };
        readonly responses: {
            /** @description Done. */
            readonly 200: {
                headers: {
                    readonly [name: string]: unknown;
                };
                content: {
                    readonly "application/json": components["schemas"]["Webhook"];
                };
            };
        };
    };
    readonly rotateWebhookSecret: {
        readonly parameters: {
            readonly query?: never;
            readonly header?: never;
            readonly path: {
                readonly webhook_id: string;
            };
            readonly cookie?: never;
        };
        readonly requestBody: {
            readonly content: {
                readonly "application/json": {
                    /**
                     * @description How long the secret before signs as well.
                     * @default 86400
                     */
                    readonly overlap_seconds?: number;
                };
            };
        };
        readonly responses: {
            /** @description Done. */
            readonly 200: {
                headers: {
                    readonly [name: string]: unknown;
                };
                content: {
                    readonly "application/json": {
                        readonly webhook: components["schemas"]["Webhook"];
                        /** @description Shown this once; a replay of the same request does not have it. Base64 after `whsec_`; deliveries are signed with it by Standard Webhooks (`v1`). */
                        readonly secret?: string;
                    };
                };
            };
        };
    };
    readonly testWebhook: {
        readonly parameters: {
            readonly query?: never;
            readonly header?: never;
            readonly path: {
                readonly webhook_id: string;
            };
            readonly cookie?: never;
        };
        readonly requestBody?: never;
        readonly responses: {
            /** @description Done. */
            readonly 200: {
                headers: {
                    readonly [name: string]: unknown;
                };
                content: {
                    readonly "application/json": {
                        readonly result: "delivered" | "failed";
                        readonly status: number | null;
                        readonly detail: string;
                        readonly duration_ms: number;
                    };
                };
            };
        };
    };
    readonly listWebhookDeliveries: {
        readonly parameters: {
            readonly query?: {
                readonly state?: "pending" | "delivered" | "failed";
                /** @description `next_cursor` of the page before. */
                readonly cursor?: string;
                readonly limit?: number;
            };
            readonly header?: never;
            readonly path: {
                readonly webhook_id: string;
            };
            readonly cookie?: never;
        };
        readonly requestBody?: never;
        readonly responses: {
            /** @description Done. */
            readonly 200: {
                headers: {
                    readonly [name: string]: unknown;
                };
                content: {
                    readonly "application/json": {
                        readonly deliveries: readonly {
                            readonly event_id: string;
                            readonly event_type: string;
                            /** Format: date-time */
                            readonly event_timestamp: string;
                            readonly state: "pending" | "delivered" | "failed";
                            readonly attempts: number;
                            /** Format: date-time */
                            readonly next_attempt_at: string | null;
                            /** Format: date-time */
                            readonly last_attempt_at: string | null;
                            readonly last_status: number | null;
                            readonly last_error: string | null;
                        }[];
                        /** @description Send as `cursor` for the next page; null on the last. */
                        readonly next_cursor: string | null;
                    };
                };
            };
        };
    };
    readonly replayWebhook: {
        readonly parameters: {
            readonly query?: never;
            readonly header?: never;
            readonly path: {
                readonly webhook_id: string;
            };
            readonly cookie?: never;
        };
        /** @description Which of the last 30 days’ events: `from` an instant, to another, or those named. */
        readonly requestBody: {
            readonly content: {
                readonly "application/json": {
                    /** Format: date-time */
                    readonly from?: string;
                    /** Format: date-time */
                    readonly to?: string;
                    readonly event_ids?: readonly string[];
                    /**
                     * @description Also what the endpoint has taken already.
                     * @default false
                     */
                    readonly include_delivered?: boolean;
                };
            };
        };
        readonly responses: {
            /** @description Queued. */
            readonly 202: {
                headers: {
                    readonly [name: string]: unknown;
                };
                content: {
                    readonly "application/json": {
                        readonly queued: number;
                    };
                };
            };
        };
    };
    readonly listServiceTokens: {
        readonly parameters: {
            readonly query?: {
                /** @description `next_cursor` of the page before. */
                readonly cursor?: string;
                readonly limit?: number;
            };
            readonly header?: never;
            readonly path?: never;
            readonly cookie?: never;
        };
        readonly requestBody?: never;
        readonly responses: {
            /** @description Done. */
            readonly 200: {
                headers: {
                    readonly [name: string]: unknown;
                };
                content: {
                    readonly "application/json": {
                        readonly service_tokens: readonly components["schemas"]["ServiceToken"][];
                        /** @description Send as `cursor` for the next page; null on the last. */
                        readonly next_cursor: string | null;
                    };
                };
            };
        };
    };
    readonly createServiceToken: {
        readonly parameters: {
            readonly query?: never;
            readonly header?: {
                /** @description Repeats of a request with the same key within 24 hours make nothing new. */
                readonly "idempotency-key"?: string;
            };
            readonly path?: never;
            readonly cookie?: never;
        };
        /** @description Either a preset or scopes, or both. */
        readonly requestBody: {
            readonly content: {
                readonly "application/json": {
                    readonly name: string;
                    readonly preset?: "dashboard" | "runtime" | "ops";
                    readonly scopes?: readonly ("connections:read" | "connections:write" | "credentials:resolve" | "actions:invoke" | "requests:send" | "integrations:write" | "oauth_apps:write" | "agents:write" | "keys:manage" | "tokens:manage" | "webhooks:write" | "workspaces:destroy" | "audit:read")[];
                    readonly workspaces: readonly ("*" | string)[];
                    readonly environments: readonly ("*" | ("sandbox" | "live"))[];
                    /** Format: date-time */
                    readonly expires_at?: string;
                };
            };
        };
        readonly responses: {
            /** @description Created. */
            readonly 201: {
                headers: {
                    readonly [name: string]: unknown;
                };
                content: {
                    readonly "application/json": {
                        readonly service_token: components["schemas"]["ServiceToken"];
                        /** @description Shown this once. A replay of the same request does not have it. */
                        readonly token?: string;
                    };
                };
            };
        };
    };
    readonly revokeServiceToken: {
        readonly parameters: {
            readonly query?: never;
            readonly header?: never;
            readonly path: {
                readonly token_id: string;
            };
            readonly cookie?: never;
        };
        readonly requestBody?: never;
        readonly responses: {
            /** @description Done. */
            readonly 200: {
                headers: {
                    readonly [name: string]: unknown;
                };
                content: {
                    readonly "application/json": components["schemas"]["ServiceToken"];
                };
            };
        };
    };
    readonly listCustomApis: {
        readonly parameters: {
            readonly query?: {
                readonly limit?: number;
                /** @description `next_cursor` of the page before. */
                readonly cursor?: string;
            };
            readonly header?: never;
            readonly path: {
                /** @description The host product’s id of the tenant, compared exactly. */
                readonly workspace_id: string;
            };
            readonly cookie?: never;
        };
        readonly requestBody?: never;
        readonly responses: {
            /** @description Done. */
            readonly 200: {
                headers: {
                    readonly [name: string]: unknown;
                };
                content: {
                    readonly "application/json": {
                        readonly integrations: readonly {
                            readonly id: string;
                            /** @description The host product’s id of the tenant, compared exactly. */
                            readonly workspace_id: string;
                            readonly name: string;
                            readonly docs: string | null;
                            readonly environments: readonly ("sandbox" | "live")[];
                            /**
                             * @description What tells sandbox from live: the credential (`key`), the `host`, or `none`: then what sandbox runs do, they do in a real account. Say so before a sandbox credential is entered.
                             */
                            readonly separation: "key" | "host" | "none";
                            readonly auth: readonly {
                                readonly id: string;
                                readonly label: string;
                                /**
                                 * @description Whether a person pastes the credential or links the account in a browser.
                                 */
                                readonly kind: "pasted" | "oauth2";
                                /** @description OAuth scopes asked for unless the app says otherwise. */
                                readonly scopes?: readonly string[];
                                /** @description Where a person finds the credential. */
                                readonly find?: string;
                                /** @description JSON Schema (2020-12). */
                                readonly credentials: {
                                    readonly [key: string]: unknown;
                                };
                                /** @description JSON Schema (2020-12). */
                                readonly config: {
                                    readonly [key: string]: unknown;
                                };
                            }[];
                            /** @description The one that is shown. */
                            readonly revision: number;
                            /** @description The one that calls without `revision` are made with. */
                            readonly newest_revision: number;
                            readonly source: {
                                readonly title: string;
                                readonly version: string;
                                readonly sha256: string;
                                readonly url: string | null;
                            };
                            readonly action_count: number;
                            readonly created_by: string;
                            /** Format: date-time */
                            readonly created_at: string;
                            readonly updated_by: string;
                            /** Format: date-time */
                            readonly updated_at: string;
                            readonly etag: string;
                        }[];
                        /** @description Send as `cursor` for the next page; null on the last. */
                        readonly next_cursor: string | null;
                    };
                };
            };
        };
    };
    readonly createCustomApi: {
        readonly parameters: {
            readonly query?: never;
            readonly header?: {
                /** @description Repeats of a request with the same key within 24 hours make nothing new. */
                readonly "idempotency-key"?: string;
            };
            readonly path: {
                /** @description The host product’s id of the tenant, compared exactly. */
                readonly workspace_id: string;
            };
            readonly cookie?: never;
        };
        readonly requestBody: {
            readonly content: {
                readonly "application/json": {
                    /** @description How people see it. The document’s title unless told. */
                    readonly name?: string;
                    readonly servers?: {
                        /** @description Where the API is, instead of what the document says. */
                        readonly live?: string;
                        /** @description Where the API is, instead of what the document says. */
                        readonly sandbox?: string;
                    };
                    /** @description How calls are authorised, instead of what the document says. */
                    readonly auth?: {
                        readonly type: "none" | "bearer" | "basic";
                    } | {
                        /** @enum {string} */
                        readonly type: "api_key";
                        readonly in: "header" | "query" | "cookie";
                        readonly name: string;
                    };
                    /** @description Only operations with one of these tags, whose path begins so, or whose action is called so. */
                    readonly select?: {
                        readonly tags?: readonly string[];
                        readonly paths?: readonly string[];
                        readonly names?: readonly string[];
                    };
                    /** @description Other effects than the methods have, by the actions’ names. */
                    readonly effects?: {
                        readonly [key: string]: "read" | "idempotent" | "unsafe";
                    };
                    /** @description Check bodies against their schemas, too: documents are often wrong about them. */
                    readonly strict?: boolean;
                } & {
                    /** @description Where the document is: public, without redirects. */
                    readonly url?: string;
                    /** @description The document itself, as JSON or as a text. */
                    readonly document?: string | Record<string, unknown>;
                };
            };
        };
        readonly responses: {
            /** @description Created. */
            readonly 201: {
                headers: {
                    readonly [name: string]: unknown;
                };
                content: {
                    readonly "application/json": components["schemas"]["CustomApi"];
                };
            };
        };
    };
    readonly getCustomApi: {
        readonly parameters: {
            readonly query?: {
                /** @description The newest when left out. */
                readonly revision?: number;
            };
            readonly header?: never;
            readonly path: {
                /** @description The host product’s id of the tenant, compared exactly. */
                readonly workspace_id: string;
                readonly integration_id: string;
            };
            readonly cookie?: never;
        };
        readonly requestBody?: never;
        readonly responses: {
            /** @description Done. */
            readonly 200: {
                headers: {
                    readonly [name: string]: unknown;
                };
                content: {
                    readonly "application/json": components["schemas"]["CustomApi"];
                };
            };
        };
    };
    readonly reviseCustomApi: {
        readonly parameters: {
            readonly query?: never;
            readonly header?: {
                /** @description Go on only if it still has this ETag. */
                readonly "if-match"?: string;
            };
            readonly path: {
                /** @description The host product’s id of the tenant, compared exactly. */
                readonly workspace_id: string;
                readonly integration_id: string;
            };
            readonly cookie?: never;
        };
        readonly requestBody: {
            readonly content: {
                readonly "application/json": {
                    /** @description How people see it. The document’s title unless told. */
                    readonly name?: string;
                    readonly servers?: {
                        /** @description Where the API is, instead of what the document says. */
                        readonly live?: string;
                        /** @description Where the API is, instead of what the document says. */
                        readonly sandbox?: string;
                    };
                    /** @description How calls are authorised, instead of what the document says. */
                    readonly auth?: {
                        readonly type: "none" | "bearer" | "basic";
                    } | {
                        /** @enum {string} */
                        readonly type: "api_key";
                        readonly in: "header" | "query" | "cookie";
                        readonly name: string;
                    };
                    /** @description Only operations with one of these tags, whose path begins so, or whose action is called so. */
                    readonly select?: {
                        readonly tags?: readonly string[];
                        readonly paths?: readonly string[];
                        readonly names?: readonly string[];
                    };
                    /** @description Other effects than the methods have, by the actions’ names. */
                    readonly effects?: {
                        readonly [key: string]: "read" | "idempotent" | "unsafe";
                    };
                    /** @description Check bodies against their schemas, too: documents are often wrong about them. */
                    readonly strict?: boolean;
                } & {
                    /** @description Where the document is: public, without redirects. */
                    readonly url?: string;
                    /** @description The document itself, as JSON or as a text. */
                    readonly document?: string | Record<string, unknown>;
                };
            };
        };
        readonly responses: {
            /** @description Done. */
            readonly 200: {
                headers: {
                    readonly [name: string]: unknown;
                };
                content: {
                    readonly "application/json": components["schemas"]["CustomApi"];
                };
            };
        };
    };
    readonly deleteCustomApi: {
        readonly parameters: {
            readonly query?: never;
            readonly header?: {
                /** @description Go on only if it still has this ETag. */
                readonly "if-match"?: string;
            };
            readonly path: {
                /** @description The host product’s id of the tenant, compared exactly. */
                readonly workspace_id: string;
                readonly integration_id: string;
            };
            readonly cookie?: never;
        };
        readonly requestBody?: never;
        readonly responses: {
            /** @description Deleted. */
            readonly 204: {
                headers: {
                    readonly [name: string]: unknown;
                };
                content?: never;
            };
        };
    };
    readonly getCustomApiAction: {
        readonly parameters: {
            readonly query?: {
                /** @description The newest when left out. */
                readonly revision?: number;
            };
            readonly header?: never;
            readonly path: {
                /** @description The host product’s id of the tenant, compared exactly. */
                readonly workspace_id: string;
                readonly integration_id: string;
                readonly action: string;
            };
            readonly cookie?: never;
        };
        readonly requestBody?: never;
        readonly responses: {
            /** @description Done. */
            readonly 200: {
                headers: {
                    readonly [name: string]: unknown;
                };
                content: {
                    readonly "application/json": {
                        readonly name: string;
                        readonly title: string;
                        readonly help?: string;
                        readonly effect: "read" | "idempotent" | "unsafe";
                        readonly method: string;
                        readonly path: string;
                        /** @description OAuth scopes it needs. */
                        readonly scopes: readonly string[];
                        /** @description Where the output holds a credential. One with a `field` can be stored as a new connection: `store_as`. */
                        readonly secret_outputs: readonly {
                            readonly pointer: string;
                            readonly field: string | null;
                        }[];
                        /** @description JSON Schema (2020-12). */
                        readonly input: {
                            readonly [key: string]: unknown;
                        };
                    };
                };
            };
        };
    };
    readonly listAgentGroups: {
        readonly parameters: {
            readonly query?: {
                readonly environment?: "sandbox" | "live";
                readonly limit?: number;
                /** @description `next_cursor` of the page before. */
                readonly cursor?: string;
            };
            readonly header?: never;
            readonly path: {
                /** @description The host product’s id of the tenant, compared exactly. */
                readonly workspace_id: string;
            };
            readonly cookie?: never;
        };
        readonly requestBody?: never;
        readonly responses: {
            /** @description Done. */
            readonly 200: {
                headers: {
                    readonly [name: string]: unknown;
                };
                content: {
                    readonly "application/json": {
                        readonly agent_groups: readonly {
                            readonly id: string;
                            /** @description The host product’s id of the tenant, compared exactly. */
                            readonly workspace_id: string;
                            readonly environment: "sandbox" | "live";
                            readonly name: string;
                            readonly created_by: string;
                            /** Format: date-time */
                            readonly created_at: string;
                        }[];
                        /** @description Send as `cursor` for the next page; null on the last. */
                        readonly next_cursor: string | null;
                    };
                };
            };
        };
    };
    readonly createAgentGroup: {
        readonly parameters: {
            readonly query?: never;
            readonly header?: {
                /** @description Repeats of a request with the same key within 24 hours make nothing new. */
                readonly "idempotency-key"?: string;
            };
            readonly path: {
                /** @description The host product’s id of the tenant, compared exactly. */
                readonly workspace_id: string;
            };
            readonly cookie?: never;
        };
        readonly requestBody: {
            readonly content: {
                readonly "application/json": {
                    readonly name: string;
                    readonly environment: "sandbox" | "live";
                };
            };
        };
        readonly responses: {
            /** @description Created. */
            readonly 201: {
                headers: {
                    readonly [name: string]: unknown;
                };
                content: {
                    readonly "application/json": {
                        readonly id: string;
                        /** @description The host product’s id of the tenant, compared exactly. */
                        readonly workspace_id: string;
                        readonly environment: "sandbox" | "live";
                        readonly name: string;
                        readonly created_by: string;
                        /** Format: date-time */
                        readonly created_at: string;
                    };
                };
            };
        };
    };
    readonly createEnrolmentCode: {
        readonly parameters: {
            readonly query?: never;
            readonly header?: {
                /** @description Repeats of a request with the same key within 24 hours make nothing new. */
                readonly "idempotency-key"?: string;
            };
            readonly path: {
                /** @description The host product’s id of the tenant, compared exactly. */
                readonly workspace_id: string;
                readonly group_id: string;
            };
            readonly cookie?: never;
        };
        readonly requestBody?: never;
        readonly responses: {
            /** @description Created. */
            readonly 201: {
                headers: {
                    readonly [name: string]: unknown;
                };
                content: {
                    readonly "application/json": {
                        /** @description For one agent. Shown once: a repeat under the same key is without it. */
                        readonly code?: string;
                        /** Format: date-time */
                        readonly expires_at: string;
                    };
                };
            };
        };
    };
    readonly getAgentGroup: {
        readonly parameters: {
            readonly query?: never;
            readonly header?: never;
            readonly path: {
                /** @description The host product’s id of the tenant, compared exactly. */
                readonly workspace_id: string;
                readonly group_id: string;
            };
            readonly cookie?: never;
        };
        readonly requestBody?: never;
        readonly responses: {
            /** @description Done. */
            readonly 200: {
                headers: {
                    readonly [name: string]: unknown;
                };
                content: {
                    readonly "application/json": {
                        readonly id: string;
                        /** @description The host product’s id of the tenant, compared exactly. */
                        readonly workspace_id: string;
                        readonly environment: "sandbox" | "live";
                        readonly name: string;
                        readonly created_by: string;
                        /** Format: date-time */
                        readonly created_at: string;
                        /** @description The union of what the agents announce. */
                        readonly actions: readonly {
                            readonly name: string;
                            readonly title: string | null;
                            readonly effect: "read" | "idempotent" | "unsafe";
                            /** @description JSON Schema (2020-12). */
                            readonly input: {
                                readonly [key: string]: unknown;
                            };
                            readonly output: {
                                readonly [key: string]: unknown;
                            } | null;
                            /** @description How many of the group’s agents run it. */
                            readonly agents: number;
                        }[];
                        /** @description An agent of the group has been heard of in the last 90 seconds. */
                        readonly online: boolean;
                        /** @description Names of actions that agents describe differently. */
                        readonly conflicts: readonly string[];
                    };
                };
            };
        };
    };
    readonly deleteAgentGroup: {
        readonly parameters: {
            readonly query?: never;
            readonly header?: never;
            readonly path: {
                /** @description The host product’s id of the tenant, compared exactly. */
                readonly workspace_id: string;
                readonly group_id: string;
            };
            readonly cookie?: never;
        };
        readonly requestBody?: never;
        readonly responses: {
            /** @description Deleted. */
            readonly 204: {
                headers: {
                    readonly [name: string]: unknown;
                };
                content?: never;
            };
        };
    };
    readonly listAgents: {
        readonly parameters: {
            readonly query?: never;
            readonly header?: never;
            readonly path: {
                /** @description The host product’s id of the tenant, compared exactly. */
                readonly workspace_id: string;
                readonly group_id: string;
            };
            readonly cookie?: never;
        };
        readonly requestBody?: never;
        readonly responses: {
            /** @description Done. */
            readonly 200: {
                headers: {
                    readonly [name: string]: unknown;
                };
                content: {
                    readonly "application/json": {
                        readonly agents: readonly {
                            readonly id: string;
                            readonly name: string;
                            readonly host: string | null;
                            readonly sdk_version: string | null;
                            readonly protocol_version: number | null;
                            /** @description X25519 public key in base64url. Whoever encrypts to it has to know it from the agent itself. */
                            readonly encryption_key: string | null;
                            /** Format: date-time */
                            readonly last_seen_at: string | null;
                            /** Format: date-time */
                            readonly enrolled_at: string;
                            /** Format: date-time */
                            readonly revoked_at: string | null;
                            readonly revoked_by: string | null;
                        }[];
                    };
                };
            };
        };
    };
    readonly revokeAgent: {
        readonly parameters: {
            readonly query?: never;
            readonly header?: never;
            readonly path: {
                /** @description The host product’s id of the tenant, compared exactly. */
                readonly workspace_id: string;
                readonly group_id: string;
                readonly agent_id: string;
            };
            readonly cookie?: never;
        };
        readonly requestBody?: never;
        readonly responses: {
            /** @description Revoked. */
            readonly 204: {
                headers: {
                    readonly [name: string]: unknown;
                };
                content?: never;
            };
        };
    };
    readonly getKeys: {
        readonly parameters: {
            readonly query?: never;
            readonly header?: never;
            readonly path?: never;
            readonly cookie?: never;
        };
        readonly requestBody?: never;
        readonly responses: {
            /** @description Done. */
            readonly 200: {
                headers: {
                    readonly [name: string]: unknown;
                };
                content: {
                    readonly "application/json": {
                        readonly keks: readonly {
                            readonly kek_id: string;
                            readonly provider: string;
                            readonly current_for: readonly ("sandbox" | "live" | "system")[];
                            /** Format: date-time */
                            readonly first_used_at: string | null;
                            /** @description Keys it wraps. */
                            readonly keys: number;
                            /** @description In use for longer than KEK_CRYPTOPERIOD_DAYS. */
                            readonly overdue: boolean;
                        }[];
                        readonly keys: readonly {
                            readonly slot: "sandbox" | "live" | "system";
                            readonly state: "current" | "previous" | "retired" | "destroyed";
                            readonly keys: number;
                            readonly oldest_days: number;
                            readonly overdue: boolean;
                        }[];
                        readonly rows_to_reseal: readonly {
                            readonly table: string;
                            readonly column: string;
                            readonly rows: number;
                        }[];
                        readonly sweep: components["schemas"]["KeySweep"];
                    };
                };
            };
        };
    };
    readonly rotateKeys: {
        readonly parameters: {
            readonly query?: never;
            readonly header?: never;
            readonly path?: never;
            readonly cookie?: never;
        };
        /** @description `workspace_id` and `environment` narrow `workspace`. */
        readonly requestBody: {
            readonly content: {
                readonly "application/json": {
                    /**
                     * @description `kek`: every key is wrapped again, under the current KEK. `workspace`: workspaces’ keys are replaced and their rows sealed again. `system`: the vault’s own key is.
                     */
                    readonly target: "kek" | "workspace" | "system";
                    /** @description The host product’s id of the tenant, compared exactly. */
                    readonly workspace_id?: string;
                    readonly environment?: "sandbox" | "live";
                };
            };
        };
        readonly responses: {
            /** @description Done. */
            readonly 202: {
                headers: {
                    readonly [name: string]: unknown;
                };
                content: {
                    readonly "application/json": components["schemas"]["KeySweep"];
                };
            };
        };
    };
    readonly getKeySweep: {
        readonly parameters: {
            readonly query?: never;
            readonly header?: never;
            readonly path?: never;
            readonly cookie?: never;
        };
        readonly requestBody?: never;
        readonly responses: {
            /** @description Done. */
            readonly 200: {
                headers: {
                    readonly [name: string]: unknown;
                };
                content: {
                    readonly "application/json": components["schemas"]["KeySweep"];
                };
            };
        };
    };
    readonly sweepKeys: {
        readonly parameters: {
            readonly query?: never;
            readonly header?: never;
            readonly path?: never;
            readonly cookie?: never;
        };
        readonly requestBody: {
            readonly content: {
                readonly "application/json": {
                    /** @description At most so many rows are sealed again in a second; 2000 unless told. */
                    readonly rows_per_second?: number;
                };
            };
        };
        readonly responses: {
            /** @description Done. */
            readonly 202: {
                headers: {
                    readonly [name: string]: unknown;
                };
                content: {
                    readonly "application/json": components["schemas"]["KeySweep"];
                };
            };
        };
    };
    readonly retireKeys: {
        readonly parameters: {
            readonly query?: never;
            readonly header?: never;
            readonly path?: never;
            readonly cookie?: never;
        };
        readonly requestBody: {
            readonly content: {
                readonly "application/json": {
                    /** @description A KEK that wraps no key any more. Without it, all replaced keys that no row needs are retired. */
                    readonly kek_id?: string;
                };
            };
        };
        readonly responses: {
            /** @description Done. */
            readonly 200: {
                headers: {
                    readonly [name: string]: unknown;
                };
                content: {
                    readonly "application/json": {
                        readonly retired: number;
                        /** @description Some of the keys that are still needed, and by what. The vault’s own are as long as records under their MAC are kept. */
                        readonly kept: readonly {
                            readonly key_id: string;
                            readonly workspace_id: string | null;
                            readonly rows: readonly {
                                readonly table: string;
                                readonly column: string;
                                readonly rows: number;
                            }[];
                        }[];
                    };
                };
            };
        };
    };
    readonly destroyWorkspace: {
        readonly parameters: {
            readonly query?: never;
            readonly header?: never;
            readonly path: {
                /** @description The host product’s id of the tenant, compared exactly. */
                readonly workspace_id: string;
            };
            readonly cookie?: never;
        };
        readonly requestBody?: never;
        readonly responses: {
            /** @description Done. */
            readonly 200: {
                headers: {
                    readonly [name: string]: unknown;
                };
                content: {
                    readonly "application/json": components["schemas"]["DestructionCertificate"];
                };
            };
        };
    };
    readonly previewOpenapi: {
        readonly parameters: {
            readonly query?: never;
            readonly header?: never;
            readonly path?: never;
            readonly cookie?: never;
        };
        readonly requestBody: {
            readonly content: {
                readonly "application/json": {
                    /** @description How people see it. The document’s title unless told. */
                    readonly name?: string;
                    readonly servers?: {
                        /** @description Where the API is, instead of what the document says. */
                        readonly live?: string;
                        /** @description Where the API is, instead of what the document says. */
                        readonly sandbox?: string;
                    };
                    /** @description How calls are authorised, instead of what the document says. */
                    readonly auth?: {
                        readonly type: "none" | "bearer" | "basic";
                    } | {
                        /** @enum {string} */
                        readonly type: "api_key";
                        readonly in: "header" | "query" | "cookie";
                        readonly name: string;
                    };
                    /** @description Only operations with one of these tags, whose path begins so, or whose action is called so. */
                    readonly select?: {
                        readonly tags?: readonly string[];
                        readonly paths?: readonly string[];
                        readonly names?: readonly string[];
                    };
                    /** @description Other effects than the methods have, by the actions’ names. */
                    readonly effects?: {
                        readonly [key: string]: "read" | "idempotent" | "unsafe";
                    };
                    /** @description Check bodies against their schemas, too: documents are often wrong about them. */
                    readonly strict?: boolean;
                } & {
                    /** @description Where the document is: public, without redirects. */
                    readonly url?: string;
                    /** @description The document itself, as JSON or as a text. */
                    readonly document?: string | Record<string, unknown>;
                };
            };
        };
        readonly responses: {
            /** @description Done. */
            readonly 200: {
                headers: {
                    readonly [name: string]: unknown;
                };
                content: {
                    readonly "application/json": {
                        readonly title: string;
                        /** @description Of OpenAPI. */
                        readonly version: string;
                        /** @description Of the document as it came. */
                        readonly sha256: string;
                        readonly operations: number;
                        readonly actions: readonly {
                            readonly name: string;
                            readonly method: string;
                            readonly path: string;
                            readonly effect: "read" | "idempotent" | "unsafe";
                            readonly tags: readonly string[];
                        }[];
                        /** @description Operations that are no actions: where each stands in the document, and why. */
                        readonly skipped: readonly {
                            readonly pointer: string;
                            readonly reason: string;
                        }[];
                        readonly auth: readonly {
                            readonly id: string;
                            readonly label: string;
                            readonly fields: readonly string[];
                        }[];
                        readonly servers: readonly {
                            readonly url: string;
                            readonly problem: string | null;
                        }[];
                        readonly warnings: readonly string[];
                    };
                };
            };
        };
    };
}
