// The models that can be asked, shared by the pages.
import {listModels} from "../api/models";
import type {Model} from "../api/types";
import {problemText} from "./problem";

class Catalogue {
    models = $state.raw<Model[]>([]);
    loaded = $state(false);
    error = $state("");

    async refresh(): Promise<void> {
        try {
            this.models = await listModels();
            this.error = "";
        } catch (reason) {
            this.error = problemText(reason);
        }
        this.loaded = true;
    }

    find(name: string | undefined): Model | undefined {
        return this.models.find((model) => model.name === name);
    }

    // What a new conversation asks: the last one chosen, else one that is loaded, else one that fits.
    preferred(name: string | undefined): Model | undefined {
        return this.find(name) ?? this.models.find((m) => m.loaded) ?? this.models.find((m) => m.fits) ?? this.models[0];
    }
}

export const catalogue = new Catalogue();
