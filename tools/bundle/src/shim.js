import { WorkerEntrypoint } from 'cloudflare:workers';
import * as exports from './index.js';

// A trap leaves the wasm's memory in no state to go on with. The next call into it gets a new instance, and objects of
// the Worker are made again in that one: their state is in their storage. `worker` counts the instances and says itself
// when it has panicked; a trap of another kind is seen here.
Error.stackTraceLimit = 100;
const state = exports.__worker_init_state();

function noteTrap(error) {
  if (!(error instanceof WebAssembly.RuntimeError)) return;
  console.error('Critical', error);
  state.criticalError = true;
}

function recover() {
  if (!state.criticalError) return;
  console.log('Reinitializing Wasm application');
  exports.__wbg_reset_state();
  state.criticalError = false;
  state.instanceId++;
}

addEventListener('error', ({ error }) => noteTrap(error));

const watched = {
  apply(method, self, args) {
    recover();
    try {
      return method.apply(self, args);
    } catch (error) {
      noteTrap(error);
      throw error;
    }
  },
};

// An object's methods by name, which are async in JavaScript's own classes only.
const watchedAsync = {
  async apply(method, self, args) {
    recover();
    try {
      return await method.apply(self, args);
    } catch (error) {
      noteTrap(error);
      throw error;
    }
  },
};

// The runtime holds a proxy of each object: what it asks for is asked of the object of the present instance.
const REFLECTED = [
  'set', 'has', 'deleteProperty', 'getPrototypeOf', 'setPrototypeOf', 'isExtensible', 'preventExtensions',
  'getOwnPropertyDescriptor', 'defineProperty', 'ownKeys',
];
const forwarded = Object.fromEntries(REFLECTED.map((trap) => [trap, ({ object }, ...rest) => Reflect[trap](object, ...rest)]));

const recovering = {
  construct(type, args, newTarget) {
    const make = () => ({ object: Reflect.construct(type, args, newTarget), instance: state.instanceId });
    try {
      recover();
      const held = make();
      return new Proxy(held, {
        ...forwarded,
        get(_, name, receiver) {
          if (held.instance !== state.instanceId) Object.assign(held, make());
          const value = Reflect.get(held.object, name, receiver);
          if (typeof value !== 'function') return value;
          return new Proxy(value, value.constructor === Function ? watched : watchedAsync);
        },
      });
    } catch (error) {
      state.criticalError = true;
      throw error;
    }
  },
};

class Entrypoint extends WorkerEntrypoint {}

export default new Proxy(Entrypoint, recovering);

