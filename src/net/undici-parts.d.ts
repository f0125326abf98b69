/** The parts of undici that the client loads; its own types describe them by way of its entry only. */
declare module 'undici/lib/dispatcher/agent.js' {
  import type { Agent } from 'undici';

  const constructor: new (options: Agent.Options) => Agent;
  export default constructor;
}

declare module 'undici/lib/api/api-request.js' {
  import type { Dispatcher } from 'undici';

  export default function request(this: Dispatcher, options: Dispatcher.RequestOptions): Promise<Dispatcher.ResponseData>;
}
