// Conversations, kept by the server: a 2xx answer means that it is on the disk.
import {call, segment} from "./http";
import type {ChatSettings, Conversation, ConversationRow, Message} from "./types";

const at = (id: string, rest = ""): string => `/conversations/${segment(id)}${rest}`;

export async function listConversations(query: string, limit: number, before?: string, signal?: AbortSignal): Promise<ConversationRow[]> {
    const search = new URLSearchParams({limit: String(limit)});
    if (query !== "") search.set("q", query);
    if (before !== undefined) search.set("before", before);
    const options = signal ? {signal} : {};
    return (await call<{conversations: ConversationRow[]}>("GET", `/conversations?${search}`, options)).conversations;
}

export const readConversation = (id: string) => call<Conversation>("GET", at(id));

export const createConversation = (title: string, settings: ChatSettings) =>
    call<Conversation>("POST", "/conversations", {body: {title, settings}});

export const changeConversation = (id: string, change: {title?: string; settings?: ChatSettings}) =>
    call<unknown>("PATCH", at(id), {body: change});

export const deleteConversation = (id: string) => call<unknown>("DELETE", at(id));

export const addMessage = (id: string, message: Omit<Message, "id">) =>
    call<{id: string; created?: string}>("POST", at(id, "/messages"), {body: message});

export const changeMessage = (id: string, message: string, change: Pick<Message, "content" | "reasoning" | "meta">, keepalive = false) =>
    call<unknown>("PATCH", at(id, `/messages/${segment(message)}`), {body: change, keepalive});

export const deleteMessage = (id: string, message: string) =>
    call<unknown>("DELETE", at(id, `/messages/${segment(message)}`));

export const exportConversation = (id: string) => call<unknown>("GET", at(id, "/export"));

export const importConversation = (content: unknown) =>
    call<{id: string}>("POST", "/conversations/import", {body: content});
