FROM node:22-bookworm-slim AS build
WORKDIR /app
COPY package.json package-lock.json .npmrc ./
RUN npm ci
COPY tsconfig.json tsconfig.build.json ./
COPY src ./src
RUN npm run build

FROM node:22-bookworm-slim
ENV NODE_ENV=production
WORKDIR /app
COPY package.json package-lock.json .npmrc ./
RUN npm ci --omit=dev && npm cache clean --force
COPY LICENSE ./
COPY schemas ./schemas
COPY --from=build /app/dist ./dist
# So that `docker exec` and npx find it by its name.
RUN chmod +x dist/cli.js && ln -s /app/dist/cli.js /usr/local/bin/optout-relay
# The user "node" by its number: Kubernetes can't tell from a name that it isn't root.
USER 1000:1000
EXPOSE 9464 8080
# Of the relay; for the gateway set HEALTHCHECK_URL to its own /livez.
HEALTHCHECK --interval=10s --timeout=5s --start-period=20s --retries=3 \
  CMD ["node", "--eval", "fetch(process.env.HEALTHCHECK_URL ?? 'http://127.0.0.1:9464/livez').then((r) => process.exit(r.ok ? 0 : 1), () => process.exit(1))"]
# Exec form: SIGTERM reaches the program, which finishes or hands over what is in flight before it ends.
ENTRYPOINT ["node", "dist/cli.js"]
CMD ["relay"]
