import { readFileSync } from 'node:fs';

const HERE = new URL('.', import.meta.url);
const { dependencies, optionalDependencies } = json('package.json');
/** What rows call them, where that is not the name of the package. These come with the library's own tests. */
const ALIASES = { 'node-redis': 'redis' };
/** Longer names first: one may begin with another. */
const PEERS = Object.keys({ ...dependencies, ...optionalDependencies, ...ALIASES }).toSorted(
  (a, b) => b.length - a.length,
);

/** The installed versions, by name. */
export const VERSIONS = new Map(
  PEERS.map((name) => [name, versionOf(ALIASES[name] ?? name)]).filter(([, version]) => version !== undefined),
);

/** `text` with the version behind the first name of each peer: `lru-cache@11.5.3 with a ttl`. */
export function withVersions(text) {
  const named = PEERS.filter((name) => VERSIONS.has(name)).join('|');
  const seen = new Set();
  return text.replace(new RegExp(`(?<![\\w@/-])(${named})(?![\\w@/-])`, 'g'), (name) => {
    if (seen.has(name)) return name;
    seen.add(name);
    return `${name}@${VERSIONS.get(name)}`;
  });
}

/** The installed version; undefined if it could not be installed. */
function versionOf(name) {
  for (const place of ['node_modules', '../node_modules']) {
    try {
      return json(`${place}/${name}/package.json`).version;
    } catch {
      // in the other place, or nowhere
    }
  }
  return undefined;
}

function json(path) {
  return JSON.parse(readFileSync(new URL(path, HERE), 'utf8'));
}
