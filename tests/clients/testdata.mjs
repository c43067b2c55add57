// testdata.mjs - golden data, at HEARTH_TESTDATA or beside the project (as tests/testdata.h finds it).
import {existsSync} from "node:fs";
import {fileURLToPath} from "node:url";

const root = process.env.HEARTH_TESTDATA || fileURLToPath(new URL("../../../shared/testdata", import.meta.url));

// {path, skip}: `skip` says what is missing, false: nothing.
export function testdata(name) {
    const path = `${root}/${name}`;
    return {path, skip: existsSync(path) ? false : `golden data '${name}' is not there`};
}
