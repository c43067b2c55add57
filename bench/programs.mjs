// programs.mjs - the two programs that are compared, the files they run, and the machine.
import {execFileSync, spawnSync} from "node:child_process";
import {createHash} from "node:crypto";
import {copyFileSync, existsSync, mkdirSync, readFileSync, readdirSync, renameSync, rmSync} from "node:fs";
import {cpus, loadavg} from "node:os";
import {dirname, join} from "node:path";
import {fileURLToPath} from "node:url";

export const here = dirname(fileURLToPath(import.meta.url));
export const buildFolder = join(here, "..", "build");

// Libraries of the peer that do not go beyond a CPU level of Hearth.
const PEER_LIBRARIES = {
    avx2: ["haswell"],
    avx512: ["zen4", "icelake", "cooperlake", "cascadelake"],
};

// A copy of the peer whose package has only the libraries of a level, so that its own choice
// cannot go beyond; made of hard links. Returns its peer.mjs.
function peerAtLevel(level) {
    const libraries = PEER_LIBRARIES[level];
    if (!libraries) throw new Error(`the peer has no level '${level}'; ${Object.keys(PEER_LIBRARIES).join(", ")}`);
    const folder = join(buildFolder, `bench-peer-${level}`);
    const bins = join(folder, "node_modules", "@node-llama-cpp", "linux-x64", "bins", "linux-x64");
    if (!existsSync(bins)) {
        const unfinished = `${folder}.part`;
        rmSync(unfinished, {recursive: true, force: true});
        mkdirSync(unfinished, {recursive: true});
        execFileSync("cp", ["-al", join(here, "node_modules"), unfinished]);
        rmSync(folder, {recursive: true, force: true});
        renameSync(unfinished, folder);
    }
    for (const name of readdirSync(bins)) {
        const library = /^libggml-cpu-(\w+)\.so$/.exec(name);
        if (library && !libraries.includes(library[1])) rmSync(join(bins, name));
    }
    for (const name of ["peer.mjs", "tests.mjs", "package.json"]) copyFileSync(join(here, name), join(folder, name));
    return join(folder, "peer.mjs");
}

function runJson(program, args, environment) {
    const result = spawnSync(program, args, {
        encoding: "utf8", maxBuffer: 1 << 26, stdio: ["ignore", "pipe", "pipe"],
        env: {...process.env, ...environment},
    });
    if (result.error) throw result.error;
    if (result.status !== 0)
        throw new Error(`${args.join(" ")}: ${result.signal ?? `exit code ${result.status}`}: ` +
            result.stderr.trim().split("\n").at(-1));
    return result.stdout ? JSON.parse(result.stdout) : null;
}

export const programs = {
    // level: "best" or a CPU level both are held to.
    peer(level, args, {flashAttention = "auto"} = {}) {
        const script = level === "best" ? join(here, "peer.mjs") : peerAtLevel(level);
        return runJson(process.execPath, [script, "--flash-attention", flashAttention, ...args]);
    },
    hearth(hearth, level, args) {
        return runJson(hearth, args, level === "best" ? {} : {HEARTH_CPU: level});
    },
};

// A model of a real shape with random weights; `type` as 'hearth quantize' names it.
export function synthesise(hearth, folder, shape, type) {
    const path = join(folder, `${shape}-${type.toLowerCase()}.gguf`);
    if (existsSync(path)) return path;
    mkdirSync(folder, {recursive: true});
    execFileSync(hearth, ["synth", "--shape", shape, "--type", type, "-o", `${path}.part`],
        {stdio: ["ignore", "ignore", "inherit"]});
    renameSync(`${path}.part`, path);
    return path;
}

export function peerVersion() {
    return JSON.parse(readFileSync(join(here, "package.json"), "utf8")).dependencies["node-llama-cpp"];
}

// What this machine is, without measuring for long: 'hearth doctor' says its levels.
export function describeMachine(hearth) {
    const doctor = runJson(hearth, ["doctor", "--json"]);
    return {
        cpu: doctor.cpu, cores: cpus().length, level: doctor.levels.find((l) => l.in_use).level,
        levels: doctor.levels.map((l) => l.level),
    };
}

export const fingerprint = (path) => createHash("sha256").update(readFileSync(path)).digest("hex").slice(0, 16);
export const load = () => loadavg()[0];
