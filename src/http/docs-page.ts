import { createHash } from 'node:crypto';

const STYLE = `
:root { color-scheme: light dark; --line: #8884; --soft: #8882; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
code, pre { font: 0.875rem/1.45 ui-monospace, monospace; }
pre { background: var(--soft); padding: 0.75rem; overflow-x: auto; border-radius: 4px; }
details { border: 1px solid var(--line); border-radius: 4px; margin: 0.5rem 0; padding: 0.5rem 0.75rem; }
summary { cursor: pointer; }
.method { display: inline-block; min-width: 3.5rem; font-weight: 600; }
table { border-collapse: collapse; width: 100%; }
th, td { border-top: 1px solid var(--line); padding: 0.25rem 0.5rem; text-align: left; vertical-align: top; }
`;

/** No script, no image, no frame: the style above is all that the page may use. */
export const DOCS_POLICY = `default-src 'none'; style-src 'sha256-${createHash('sha256').update(STYLE).digest('base64')}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'`;

type Json = Readonly<Record<string, unknown>>;

/**
 * The OpenAPI document as one static page. Swagger UI would be the usual way; it needs scripts, inline styles and 6 MB
 * of memory in a service that has 120.
 */
export function docsPage(document: Json): string {
  const info = map(document['info']);
  const operations = Object.entries(map(document['paths'])).flatMap(([path, methods]) =>
    Object.entries(map(methods)).map(([method, operation]) => ({
      path,
      method: method.toUpperCase(),
      operation: map(operation),
    })),
  );
  const sections = list(document['tags']).map((tag) => {
    const name = text(map(tag)['name']);
    const mine = operations.filter(({ operation }) => list(operation['tags']).includes(name));
    return `<h2 id="${escape(name)}">${escape(name)}</h2>\n<p>${prose(map(tag)['description'])}</p>\n${mine.map(operationHtml).join('\n')}`;
  });
  const schemas = Object.entries(map(map(document['components'])['schemas'])).map(
    ([name, schema]) =>
      `<details id="schema-${escape(name)}"><summary><code>${escape(name)}</code> ${prose(map(schema)['description'])}</summary>${block(schema)}</details>`,
  );
  const title = text(info['title']);
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${escape(title)}</title>
<style>${STYLE}</style>
</head>
<body>
<h1>${escape(title)}</h1>
<p>${prose(info['description'])}</p>
<p>Version ${escape(text(info['version']))}. The same as data: <a href="openapi.json">openapi.json</a>.</p>
${sections.join('\n')}
<h2 id="schemas">schemas</h2>
${schemas.join('\n')}
</body>
</html>
`;
}

function operationHtml({ path, method, operation }: { path: string; method: string; operation: Json }): string {
  const parameters = list(operation['parameters'])
    .map(map)
    .map(
      (parameter) =>
        `<tr><td><code>${escape(text(parameter['name']))}</code></td><td>${escape(text(parameter['in']))}${parameter['required'] === true ? ', required' : ''}</td><td>${prose(parameter['description'])}</td></tr>`,
    );
  const body = Object.values(map(map(operation['requestBody'])['content'])).map(
    (media) => `<h4>Body</h4>${block(map(media)['schema'])}`,
  );
  const responses = Object.entries(map(operation['responses'])).map(([status, response]) => {
    const schemas = Object.entries(map(map(response)['content'])).map(
      ([media, value]) => `<code>${escape(media)}</code> ${link(map(value)['schema'])}`,
    );
    return `<tr><td>${escape(status)}</td><td>${schemas.join('<br>')}</td><td>${prose(map(response)['description'])}</td></tr>`;
  });
  return `<details id="${escape(text(operation['operationId']))}">
<summary><span class="method">${escape(method)}</span> <code>${escape(path)}</code> ${escape(text(operation['summary']))}</summary>
<p>${prose(operation['description'])}</p>
${parameters.length === 0 ? '' : `<h4>Parameters</h4><table>${parameters.join('')}</table>`}
${body.join('')}
<h4>Answers</h4><table>${responses.join('')}</table>
</details>`;
}

function link(schema: unknown): string {
  const name = /^#\/components\/schemas\/(.+)$/.exec(text(map(schema)['$ref']))?.[1];
  return name === undefined ? '' : `<a href="#schema-${escape(name)}">${escape(name)}</a>`;
}

function block(schema: unknown): string {
  const linked = link(schema);
  return linked === '' ? `<pre>${escape(JSON.stringify(schema, null, 2))}</pre>` : `<p>${linked}</p>`;
}

function prose(value: unknown): string {
  return escape(text(value)).replaceAll(/`([^`]+)`/g, '<code>$1</code>');
}

function escape(value: string): string {
  return value
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('>', '&gt;')
    .replaceAll('"', '&quot;')
    .replaceAll("'", '&#39;');
}

const map = (value: unknown): Json => (typeof value === 'object' && value !== null && !Array.isArray(value) ? { ...value } : {});
const list = (value: unknown): unknown[] => (Array.isArray(value) ? value : []);
const text = (value: unknown): string => (typeof value === 'string' ? value : '');
