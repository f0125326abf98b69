# syntax=docker/dockerfile:1

FROM node:20.20-bookworm-slim AS build
WORKDIR /app
COPY package.json package-lock.json .npmrc ./
RUN npm ci --ignore-scripts
COPY tsconfig.json tsconfig.base.json ./
COPY src src
RUN npx --no-install tsc -b src
RUN npm prune --omit=dev --ignore-scripts

FROM node:20.20-bookworm-slim
# git does the reverts; the ssh client is for repositories that are reached by ssh.
RUN apt-get update \
  && apt-get install -y --no-install-recommends ca-certificates git openssh-client \
  && rm -rf /var/lib/apt/lists/* \
  && install -d -o node -g node /data
WORKDIR /app
COPY --from=build /app/package.json ./
COPY --from=build /app/node_modules node_modules
COPY --from=build /app/dist/src dist/src
COPY LICENSE openapi.yaml ./
COPY config config
USER node
# Only /data is written to, so the root file system may be read-only.
ENV NODE_ENV=production HOME=/data
VOLUME /data
EXPOSE 8080
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=5s \
  CMD ["node", "-e", "require('node:http').get('http://127.0.0.1:8080/livez',(r)=>process.exit(r.statusCode===200?0:1)).on('error',()=>process.exit(1))"]
ENTRYPOINT ["node", "/app/dist/src/main.js"]
CMD ["serve", "--config", "/etc/davylamp/davylamp.yaml"]
