// Preloaded into services and their threads: the device of a trainer and that of a policy are lost once, in the middle of
// their work. LOST_DEVICES is a directory that gets a file for each.
const { writeFileSync } = require('node:fs');
const Module = require('node:module');
const { join } = require('node:path');

/** The run of a graph that loses its device: the third step of a trainer, some chunks into the work of a policy. */
const AT = { trainer: 3, policy: 12 };
const { LOST_DEVICES: directory, FORGE_CALL_ADDRESS: address = '' } = process.env;
const service = Object.keys(AT).find((name) => address.includes(`/${name}-`));

/** False for a successor, whose device is there to stay. */
function isFirst() {
  try {
    writeFileSync(join(directory, service), '', { flag: 'wx' });
    return true;
  } catch {
    return false;
  }
}

function spoil({ InferenceSession: { prototype } }) {
  const { run } = prototype;
  let runs = 0;
  prototype.run = function (...args) {
    runs += 1;
    return runs === AT[service] && isFirst()
      ? Promise.reject(new Error('[Device] is lost.'))
      : run.apply(this, args);
  };
}

const load = Module._load;
let isSpoilt = service === undefined;
Module._load = function (request, ...rest) {
  const loaded = load.call(this, request, ...rest);
  if (request !== 'onnxruntime-common' || isSpoilt) return loaded;
  isSpoilt = true;
  spoil(loaded);
  return loaded;
};
