// Signing in with a key; needed only on servers that have keys.
import {call, setCsrf} from "./http";
import type {SessionState} from "./types";

export async function readSession(): Promise<SessionState> {
    const state = await call<SessionState>("GET", "/session");
    setCsrf(state.csrf ?? null);
    return state;
}

export async function signIn(key: string): Promise<void> {
    const {csrf} = await call<{csrf: string}>("POST", "/session", {body: {key}});
    setCsrf(csrf);
}

export async function signOut(): Promise<void> {
    await call<unknown>("DELETE", "/session");
    setCsrf(null);
}
