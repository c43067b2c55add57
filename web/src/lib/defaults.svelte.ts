// What new conversations start with, kept by the server for all browsers.
import {readSettings, writeSettings} from "../api/server";
import type {ChatSettings} from "../api/types";

class Defaults {
    chat = $state.raw<ChatSettings>({});
    #all: Record<string, unknown> = {};

    async load(): Promise<void> {
        this.#all = await readSettings();
        const {chat} = this.#all;
        if (typeof chat === "object" && chat !== null) this.chat = chat as ChatSettings;
    }

    async save(chat: ChatSettings): Promise<void> {
        const {leaf: _, ...kept} = chat;
        this.chat = kept;
        this.#all = {...this.#all, chat: kept};
        await writeSettings(this.#all);
    }
}

export const defaults = new Defaults();
