import numpy as np, gymnasium, envs, time
def test_x(perfect_agent):
    for view in ("full","partial"):
        for lev,n in (("GoToSeqS5R2",100),("GoToObjMazeS4",60),("GoToObjMazeS5",20),("GoToLocalS8N7",60)):
            env=gymnasium.make(f"goalbridge/BabyAI-{lev}-v0",view=view); p=perfect_agent.policy("planned")
            ok=[];st=[];bad=[];t=time.time()
            for e in range(n):
                o,_=env.reset(seed=e); over=False
                while not over:
                    a=p.act({k:v[None] for k,v in o["observation"].items()},[o["instruction"]],[e])[0]
                    o,r,te,tr,_=env.step(a); over=te or tr
                ok.append(r>0); st.append(env.unwrapped.step_count)
                if r<=0: bad.append((e,o["instruction"],env.unwrapped.max_steps))
            print(view,lev,np.mean(ok),np.mean(st),bad[:6],"%.1fs"%(time.time()-t),flush=True)
