# The vault as it runs in production: no development dependency, no embedded Postgres, not root,
# and nothing written outside its process, so that the root file system can be read-only.
FROM node:24-slim AS dependencies
WORKDIR /app
COPY package.json package-lock.json ./
RUN npm ci --omit=dev --ignore-scripts && npm cache clean --force

# An agent of private connections: `docker build --target agent .`, with its agent.yaml in /agent.
FROM node:24-slim AS agent
WORKDIR /app
COPY --from=dependencies /app/node_modules/jose ./node_modules/jose
COPY --from=dependencies /app/node_modules/typebox ./node_modules/typebox
COPY --from=dependencies /app/node_modules/yaml ./node_modules/yaml
COPY LICENSE ./
COPY src/sdk ./src/sdk
USER node
ENTRYPOINT ["node", "src/sdk/cli.ts", "agent"]
CMD ["--config", "/agent/agent.yaml"]

FROM node:24-slim
# A volume mounted here takes over the owner: `keys init` writes the keyring into it.
RUN mkdir /keyring && chown node:node /keyring && chmod 700 /keyring
WORKDIR /app
COPY --from=dependencies /app/node_modules ./node_modules
COPY package.json LICENSE ./
COPY migrations ./migrations
COPY src ./src
ENV NODE_ENV=production \
    KEYRING_FILE=/keyring/keyring.json \
    INTERNAL_HOST=0.0.0.0 \
    PUBLIC_HOST=0.0.0.0 \
    OPERATIONS_HOST=0.0.0.0
USER node
EXPOSE 8080 8081 9090
HEALTHCHECK --interval=10s --timeout=3s --start-period=20s --retries=3 \
  CMD ["node", "-e", "fetch('http://127.0.0.1:' + (process.env.OPERATIONS_PORT || 9090) + '/livez').then((answer) => process.exit(answer.ok ? 0 : 1), () => process.exit(1))"]
# As `npm start`: a smaller young generation and earlier full collections hold the memory down (docs/adr/0021-a-remembered-row.md).
ENTRYPOINT ["node", "--max-semi-space-size=16", "--heap-growing-percent=30", "--no-allocation-site-pretenuring", "--no-concurrent-array-buffer-sweeping", "src/cli.ts"]
CMD ["serve"]
