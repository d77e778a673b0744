// Chips choose an episode; its video, its cursor and its read-out always show the same control step.
(() => {
  const viewers = [...document.querySelectorAll(".viewer")];
  const chips = [...document.querySelectorAll(".chips button")];
  const select = (chosen) => {
    viewers.forEach((viewer, i) => {
      viewer.hidden = i !== chosen;
      if (i !== chosen) viewer.pause();
    });
    chips.forEach((chip, i) => {
      chip.setAttribute("aria-selected", i === chosen);
      chip.tabIndex = i === chosen ? 0 : -1;
    });
  };

  const number = (value) => value === null ? "–" : value.toFixed(2).replace("-", "−");
  const jumps = {
    ArrowLeft: -1, ArrowRight: 1, ArrowDown: -1, ArrowUp: 1,
    PageDown: -10, PageUp: 10, Home: -Infinity, End: Infinity,
  };

  viewers.forEach((viewer) => {
    const data = JSON.parse(viewer.querySelector("script").textContent);
    const scrub = viewer.querySelector(".scrub");
    const button = viewer.querySelector(".play button");
    const speed = viewer.querySelector(".play select");
    const plots = [...viewer.querySelectorAll("svg.traces")];
    const video = viewer.querySelector("video");
    const last = data.frames - 1;
    let step = 0, timer = 0;

    const written = (name) => {
      if (name === "step") return `${step} of ${last}`;
      if (name === "driver") return data.human[step] ? "human" : "policy";
      if (name === "v_e") return data.v_e[step] === null ? "–" : (-data.v_e[step]).toFixed(0);
      return number(data[name][step]);
    };
    const show = (wanted) => {
      step = Math.min(Math.max(Math.round(wanted), 0), last);
      for (const plot of plots) {
        const { left, right } = plot.dataset;
        const x = +left + (right - left) * step / Math.max(last, 1);
        const cursor = plot.querySelector(".cursor");
        cursor.setAttribute("x1", x);
        cursor.setAttribute("x2", x);
      }
      viewer.querySelectorAll("[data-cell]").forEach((cell) => { cell.textContent = written(cell.dataset.cell); });
      scrub.setAttribute("aria-valuenow", step);
      const says = `step ${step}, ${written("driver")} drives, viability ${written("p_v")}`;
      scrub.setAttribute("aria-valuetext", says);
    };
    const seek = (wanted) => {
      show(wanted);
      if (video) video.currentTime = (step + 0.5) / data.fps;
    };

    const playing = () => video ? !video.paused : timer !== 0;
    const label = () => { button.textContent = playing() ? "Pause" : "Play"; };
    const follow = () => {
      if (!playing()) return;
      show(Math.floor(video.currentTime * data.fps + 1e-3));
      requestAnimationFrame(follow);
    };
    // Without a video the steps go by with the clock, so that a fast robot does not need a fast timer.
    const march = (first, began) => {
      if (!timer) return;
      show(first + (performance.now() - began) / 1000 * data.robot_fps * speed.value);
      if (step >= last) viewer.pause();
      else timer = requestAnimationFrame(() => march(first, began));
    };

    viewer.pause = () => {
      if (video) video.pause();
      cancelAnimationFrame(timer);
      timer = 0;
      label();
    };
    const play = () => {
      if (step >= last) seek(0);
      if (video) {
        video.playbackRate = speed.value * data.robot_fps / data.fps;
        video.play();
        return;
      }
      const first = step, began = performance.now();
      timer = requestAnimationFrame(() => march(first, began));
      label();
    };
    const toggle = () => playing() ? viewer.pause() : play();

    if (video) {
      // A blob seeks reliably everywhere, a data: address does not.
      const bytes = Uint8Array.from(atob(video.src.split(",")[1]), (c) => c.charCodeAt(0));
      video.src = URL.createObjectURL(new Blob([bytes], { type: "video/mp4" }));
      video.removeAttribute("controls");
      video.addEventListener("play", () => { label(); follow(); });
      video.addEventListener("pause", label);
      video.addEventListener("ended", () => { show(last); label(); });
      video.addEventListener("click", toggle);
    }
    button.addEventListener("click", toggle);
    // A fast robot is shown slowly at first, so that its hand can be followed.
    speed.value = data.robot_fps > 60 ? "0.25" : data.robot_fps > 30 ? "0.5" : "1";
    speed.addEventListener("change", () => {
      if (playing()) { viewer.pause(); play(); }
    });

    const point = (event) => {
      const plot = plots.find((each) => each.getBoundingClientRect().width > 0);
      const box = plot.getBoundingClientRect(), { left, right, width } = plot.dataset;
      const x = (event.clientX - box.left) / box.width * width;
      seek((x - left) / (right - left) * last);
    };
    scrub.addEventListener("pointerdown", (event) => {
      viewer.pause();
      scrub.setPointerCapture(event.pointerId);
      scrub.focus({ preventScroll: true });
      point(event);
    });
    scrub.addEventListener("pointermove", (event) => {
      if (scrub.hasPointerCapture(event.pointerId)) point(event);
    });

    // Keys work wherever the focus is inside the viewer, but leave the list of speeds its own.
    viewer.addEventListener("keydown", (event) => {
      if (event.target === speed) return;
      const jump = jumps[event.key];
      if (event.key === " " && event.target !== button) toggle();
      else if (jump !== undefined) viewer.jump(event.shiftKey ? 10 * jump : jump);
      else return;
      event.preventDefault();
    });
    viewer.jump = (steps) => { viewer.pause(); seek(step + steps); };
    seek(0);
  });

  chips.forEach((chip, i) => {
    chip.addEventListener("click", () => select(i));
    chip.addEventListener("keydown", (event) => {
      const jump = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
      if (!jump) return;
      const next = (i + jump + chips.length) % chips.length;
      select(next);
      chips[next].focus();
    });
  });

  // With the focus nowhere, left and right step through the episode that is in sight.
  document.addEventListener("keydown", (event) => {
    const jump = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (!jump || event.target !== document.body) return;
    const shown = viewers.find((viewer) => !viewer.hidden);
    const box = shown && shown.getBoundingClientRect();
    if (box && box.top < innerHeight && box.bottom > 0) shown.jump(jump);
  });
  if (viewers.length) select(0);
})();
